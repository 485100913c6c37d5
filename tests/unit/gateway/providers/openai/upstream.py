"""A model provider in the hand of a test: it answers byte by byte, and sees when it is left."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from midstream.providers.sdk_client import ClientOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

OPTIONS: Final = frozenset(ClientOptions.__struct_fields__)
ProviderT = TypeVar("ProviderT")

OK_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Exchange:
    """One request, and the answer that the test writes to it."""

    def __init__(
        self,
        path: str,
        headers: dict[str, str],
        body: Any,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self._reader = reader
        self._writer = writer

    async def begin(self) -> None:
        """Answer 200, with a body to follow."""
        self._writer.write(OK_HEAD)
        await self._writer.drain()

    async def send(self, *events: dict[str, Any]) -> None:
        """Send events in one network write."""
        await self.write(
            b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        )

    async def write(self, data: bytes) -> None:
        """Send bytes of the body in one network write."""
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def end(self) -> None:
        """End the body as HTTP wants it."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def refuse(self, status: int, body: bytes, *headers: str) -> None:
        """Answer with an error."""
        lines = [f"HTTP/1.1 {status} No", f"content-length: {len(body)}", *headers, "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
        await self._writer.drain()

    def reset(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()

    async def wait_left(self) -> None:
        """Wait until the other side closes the connection."""
        try:
            while await self._reader.read(1024):
                pass
        except ConnectionError:
            pass


@asynccontextmanager
async def upstream(answer: Callable[[Exchange], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve every request with `answer`; gives the base URL.

    At its end connections that a client keeps are reset: since Python 3.12 a server waits for them.
    """
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                said = json.loads(body) if body else None
                path = lines[0].split()[1]
                await answer(Exchange(path, headers, said, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            for writer in writers:
                writer.transport.abort()


def provider_at(make: Callable[..., ProviderT], base_url: str, **settings: Any) -> ProviderT:
    """Make a provider that asks a server; the settings are its own, or those of its client."""
    fields = {"api_key": "k", "base_url": base_url, "max_retries": 0, **settings}
    own = {name: value for name, value in fields.items() if name not in OPTIONS}
    options = {name: value for name, value in fields.items() if name in OPTIONS}
    return make(ClientOptions(**options), **own)
