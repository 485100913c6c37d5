"""A client's requests to the gateway, and its reading of the answers."""

from __future__ import annotations

import json
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.wire import ConnectionLost, Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tests.support.wire import Response

Chunk = dict[str, Any]


def new_chat_id() -> str:
    """Return a chat id that no other test uses."""
    return f"chat-{secrets.token_hex(8)}"


def user_message(text: str, message_id: str | None = None) -> dict[str, Any]:
    """Return a UIMessage as a person writes it."""
    return {
        "id": message_id or f"u-{secrets.token_hex(8)}",
        "role": "user",
        "parts": [{"type": "text", "text": text}],
    }


@dataclass
class Transcript:
    """The chunks that one reader has seen of one run.

    Attributes:
        chunks: in the order of arrival.
        sequences: the SSE id of each; None where it had none.
        done: whether `[DONE]` came.
    """

    chunks: list[Chunk] = field(default_factory=list)
    sequences: list[int | None] = field(default_factory=list)
    done: bool = False

    @property
    def types(self) -> list[str]:
        """The chunks' types."""
        return [str(chunk["type"]) for chunk in self.chunks]

    @property
    def joined(self) -> list[Chunk]:
        """The chunks, with neighbouring deltas of one part made one: where a text is cut into
        chunks depends on how fast it came."""
        return joined(self.chunks)

    @property
    def text(self) -> str:
        """The text deltas, joined."""
        return "".join(c["delta"] for c in self.chunks if c["type"] == "text-delta")

    def has_just_said(self, length: int) -> bool:
        """Whether the newest chunk has brought the text to this many characters."""
        newest = self.chunks[-1]
        before = len(self.text) - len(newest["delta"] if newest["type"] == "text-delta" else "")
        return before < length <= len(self.text)

    @property
    def last_id(self) -> int | None:
        """The last id, as a browser would send it back."""
        return next((n for n in reversed(self.sequences) if n is not None), None)

    async def read(self, response: Response) -> Transcript:
        """Read to the response's end; after a ConnectionLost the chunks so far are kept."""
        async for _ in self.follow(response):
            pass
        return self

    async def follow(self, response: Response) -> AsyncIterator[Chunk]:
        """Read further, chunk by chunk."""
        assert response.status == 200, await response.body()
        async for event in response.events():
            if event.data == "[DONE]":
                self.done = True
                continue
            assert not self.done, f"after [DONE]: {event}"
            self.chunks.append(json.loads(event.data))
            self.sequences.append(None if event.id is None else int(event.id))
            yield self.chunks[-1]


@dataclass(frozen=True)
class Session:
    """One chat, seen through one gateway."""

    at: Endpoint
    id: str = field(default_factory=new_chat_id)

    def through(self, endpoint: Endpoint) -> Session:
        """Return the same chat, seen through another gateway."""
        return Session(endpoint, self.id)

    def body(
        self, text: str, message_id: str | None = None, extra: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Return the body of a send, as ai 7's DefaultChatTransport makes it."""
        return {
            "id": self.id,
            "messages": [user_message(text, message_id)],
            "trigger": "submit-message",
            **(extra or {}),
        }

    @asynccontextmanager
    async def sending(
        self,
        text: str,
        *,
        message_id: str | None = None,
        cut_after: int | None = None,
        extra: Mapping[str, object] | None = None,
        query: str = "",
    ) -> AsyncIterator[Response]:
        """POST a message; the block holds its answer."""
        body = self.body(text, message_id, extra)
        async with self.at.request(
            "POST", f"/api/chat{query}", body, cut_after=cut_after
        ) as response:
            yield response

    async def send(
        self,
        text: str,
        *,
        message_id: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Transcript:
        """POST a message and read its run to the end."""
        async with self.sending(text, message_id=message_id, extra=extra) as response:
            assert response.status == 200, await response.body()
            return await Transcript().read(response)

    async def begin(self, text: str, *, message_id: str | None = None) -> str:
        """POST a message, wait for its run to exist, disconnect; return the run's id."""
        async with self.sending(text, message_id=message_id) as response:
            assert response.status == 200, await response.body()
            return response.headers["x-midstream-run-id"]

    async def begin_speaking(self, text: str, *, message_id: str | None = None) -> str:
        """Do the same, and wait until the model answers: the run's first step has begun.

        What a person gives to the run before belongs to that step, and not to a later one.
        """
        async with self.sending(text, message_id=message_id) as response:
            async for chunk in Transcript().follow(response):
                if chunk["type"] == "start-step":
                    return response.headers["x-midstream-run-id"]
        raise AssertionError("the run ended before the model answered")

    @asynccontextmanager
    async def resuming(
        self, *, after: int | None = None, cut_after: int | None = None, query: str = ""
    ) -> AsyncIterator[Response]:
        """GET the stream, from the start or after a sequence."""
        headers = {} if after is None else {"last-event-id": str(after)}
        async with self.at.request(
            "GET", f"/api/chat/{self.id}/stream{query}", headers=headers, cut_after=cut_after
        ) as response:
            yield response

    async def resume(self, *, after: int | None = None, query: str = "") -> Transcript | None:
        """Follow the open run to its end; None if the gateway has none."""
        async with self.resuming(after=after, query=query) as response:
            if response.status == 204:
                return None
            assert response.status == 200, await response.body()
            return await Transcript().read(response)

    async def whole_run(self, run_id: str, query: str = "?v=7") -> Transcript:
        """Return every chunk of a run in the log, also of an ended one."""
        # The id that WorkflowChatTransport is given for a run.
        reader = Session(self.at, f"{self.id}~{run_id}")
        seen = await reader.resume(query=f"{query}&startIndex=0")
        assert seen is not None
        return seen

    async def stop(self, **naming: str) -> list[str]:
        """Stop; return the runs that this ended."""
        status, answer = await self.at.call("POST", f"/api/chat/{self.id}/stop", naming)
        assert status == 200, answer
        return list(answer["stopped"])

    async def snapshot(self) -> Any:
        """Return the session's snapshot."""
        status, answer = await self.at.call("GET", f"/api/chat/{self.id}")
        assert status == 200, answer
        return answer

    async def is_ended(self) -> bool:
        """Whether the last run has ended."""
        return bool((await self.snapshot())["runs"][-1]["state"] == "ended")

    async def read_through_cuts(self, text: str, cuts: Sequence[int], query: str) -> Transcript:
        """Send, lose the connection after each of `cuts` bytes, and resume.

        A client without a chunk sends again; one with chunks resumes after the last id.
        """
        seen = Transcript()
        remaining = iter([*cuts, None])
        message_id = f"u-{secrets.token_hex(8)}"
        while not seen.done:
            cut = next(remaining)
            again = (
                self.sending(text, message_id=message_id, cut_after=cut, query=query)
                if seen.last_id is None
                else self.resuming(after=seen.last_id, cut_after=cut, query=query)
            )
            with suppress(ConnectionLost):
                async with again as response:
                    assert response.status == 200, await response.body()
                    await seen.read(response)
        return seen

    async def read_by_index(self, text: str, cuts: Sequence[int], query: str) -> Transcript:
        """Do the same as WorkflowChatTransport does, which counts its chunks."""
        seen = Transcript()
        run_id = await self.begin(text)
        for cut in [*cuts, None]:
            reader = Session(self.at, f"{self.id}~{run_id}")
            index = f"{query}&startIndex={len(seen.chunks)}"
            with suppress(ConnectionLost):
                async with reader.resuming(query=index, cut_after=cut) as response:
                    assert response.status == 200, await response.body()
                    await seen.read(response)
            if seen.done:
                break
        return seen


def joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return chunks with neighbouring deltas of one part made one."""
    result: list[Chunk] = []
    for chunk in chunks:
        last = result[-1] if result else {}
        text = next((name for name in ("delta", "inputTextDelta") if name in chunk), "")
        bare = {name: value for name, value in chunk.items() if name != text}
        if text in last and bare == {name: last[name] for name in last if name != text}:
            result[-1] = bare | {text: last[text] + chunk[text]}
        else:
            result.append(chunk)
    return result


def as_ai5_holds(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a snapshot's messages without the parts whose chunks ai 5 does not get.

    The log keeps the richest form; a stream is filtered for its client, a snapshot is not.
    """
    return [
        {**message, "parts": [part for part in message["parts"] if part["type"] != "custom"]}
        for message in messages
    ]


def text_of(message: Mapping[str, Any]) -> str:
    """Return a UIMessage's text parts, joined."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")
