"""A provider's far end as raw TCP: it keeps requests, and the test writes the answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Arrived:
    """One request, unchanged; the test answers it.

    Attributes:
        head: its head, without the blank line.
        received: the body so far, as framed on the wire.
    """

    def __init__(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head = head
        self.received = b""
        self._reader = reader
        self._writer = writer

    @property
    def line(self) -> str:
        """The request line."""
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers in their order, names in lower case."""
        pairs = (line.split(b": ", 1) for line in self.head.split(b"\r\n")[1:])
        return [(name.decode().lower(), value.decode()) for name, value in pairs]

    def header(self, name: str) -> str | None:
        """The value of a header that occurs once; else None."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) < 2, values
        return values[0] if values else None

    async def receive(self, until: bytes) -> None:
        """Read the body until it ends with these bytes."""
        while not self.received.endswith(until):
            piece = await self._reader.read(65536)
            assert piece, self.received
            self.received += piece

    async def answer(self, *pieces: bytes) -> None:
        """Send bytes."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def until_closed(self) -> None:
        """Wait until the other side has closed, or reset, the connection."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return

    def close(self) -> None:
        """Close the connection at any point of the answer."""
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()


class FarEnd:
    """Listens, and hands each request to the test."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def next(self) -> Arrived:
        """Return the next request, once its head is complete."""
        return await asyncio.wait_for(self.arrived.get(), 30)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request's head; one request a connection."""
        self._writers.append(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        self.arrived.put_nowait(Arrived(head.removesuffix(b"\r\n\r\n"), reader, writer))

    def close(self) -> None:
        """Reset all open connections."""
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def far_end() -> AsyncIterator[FarEnd]:
    """Listen for the length of a block."""
    served = FarEnd()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.close()
        server.close()
        await server.wait_closed()
