"""A WebSocket client that speaks the frames of the AI SDK's WebSocketChatTransport."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.sessions import user_message
from tests.support.wire import READ_LIMIT_S, Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Frame = dict[str, Any]


@dataclass
class Socket:
    """An open connection; frames are kept by their request."""

    connection: ClientConnection
    _kept: dict[str, list[Frame]] = field(default_factory=lambda: defaultdict(list))

    async def send_text(self, text: str | bytes) -> None:
        """Send any text."""
        await self.connection.send(text)

    async def send(self, kind: str, **fields: object) -> str:
        """Send a frame; returns its request id."""
        request_id = str(fields.pop("requestId", f"r-{secrets.token_hex(4)}"))
        frame = {"type": kind, "requestId": request_id, **fields}
        await self.connection.send(json.dumps(frame))
        return request_id

    async def send_message(
        self, chat_id: str, text: str, message_id: str | None = None, **more: object
    ) -> str:
        """Send a message to a chat."""
        fields: dict[str, object] = {
            "id": chat_id,
            "trigger": "submit-message",
            "messages": [user_message(text, message_id)],
            "headers": {},
            "body": {},
        }
        return await self.send("send", **(fields | more))

    async def resume(self, chat_id: str, last_sequence: int | None = None) -> str:
        """Resume the open run."""
        fields: dict[str, object] = {"id": chat_id, "headers": {}, "body": {}}
        if last_sequence is not None:
            fields["lastSequence"] = last_sequence
        return await self.send("resume", **fields)

    async def next_frame(self, request_id: str) -> Frame:
        """Return the next frame of a request; frames of other requests are kept."""
        kept = self._kept[request_id]
        while not kept:
            async with asyncio.timeout(READ_LIMIT_S):
                frame = json.loads(await self.connection.recv())
            self._kept[frame.get("requestId", "")].append(frame)
        return kept.pop(0)

    async def frames(self, request_id: str) -> AsyncIterator[Frame]:
        """Yield a request's frames, up to and with the one that ends it."""
        while True:
            frame = await self.next_frame(request_id)
            yield frame
            if frame["type"] in {"end", "error", "no-active"}:
                return

    async def answer(self, request_id: str) -> list[Frame]:
        """Return all frames of a request, when it has ended."""
        return [frame async for frame in self.frames(request_id)]

    async def wait_closed(self) -> int | None:
        """Read to the end of the connection; return its close code."""
        try:
            while True:
                async with asyncio.timeout(READ_LIMIT_S):
                    await self.connection.recv()
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code

    def cut(self) -> None:
        """Reset the connection."""
        self.connection.transport.abort()


@asynccontextmanager
async def open_socket(
    endpoint: Endpoint, query: str = "", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Socket]:
    """Connect for the length of a block; raises the errors of `websockets`."""
    async with connect(
        f"ws://127.0.0.1:{endpoint.port}/api/chat{query}",
        additional_headers={**endpoint.headers, **(headers or {})},
        proxy=None,
        max_size=None,
        open_timeout=READ_LIMIT_S,
    ) as connection:
        yield Socket(connection)


def chunks_of(frames: list[Frame]) -> list[dict[str, Any]]:
    """Return the chunks in a request's frames."""
    return [frame["chunk"] for frame in frames if frame["type"] == "chunk"]
