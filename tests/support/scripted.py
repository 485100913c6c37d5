"""A provider's far end that plays scripts: bytes on a socket, with real pauses between them."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

EOF: Final = "eof"
"""The body ends properly, and the connection serves the next request."""

OPEN: Final = "open"
"""No more bytes are sent, and the connection stays open."""

COMMENTS: Final = "comments"
"""Comments are sent every few milliseconds, as long as the client reads."""

RESET: Final = "reset"

SILENCE: Final = "silence"
"""In place of a head: no answer is sent, and the connection stays open."""

Act = bytes | float | str
Script = list[Act]
"""Bytes to write, numbers as seconds of silence, and last the way in which the body ends."""


def sse(*events: Any) -> list[bytes]:
    """Return events as frames, one each; text is used unchanged."""
    return [
        b"data: "
        + (event.encode() if isinstance(event, str) else json.dumps(event).encode())
        + b"\n\n"
        for event in events
    ]


def named(*events: dict[str, Any]) -> list[bytes]:
    """Return events as frames with their type as name, as Anthropic sends them."""
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


class Scripted:
    """Answers each request with the script whose name is in its body, in order.

    Attributes:
        requests: the bodies, in order.
        connections: the number of connections so far.
        ended: the number of answers that ended.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Any] = []
        self.connections = 0
        self.ended = 0
        self._scripts: dict[bytes, list[tuple[str, Script]]] = {}
        self._scripts_lock = threading.Lock()  # tests of synchronous SDKs play from their threads

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def play(self, name: str, *scripts: Sequence[Act], head: str = "") -> None:
        """Answer requests that hold `name` with the scripts in turn, then the last one for ever.

        Args:
            head: status line and headers, by default those of a stream; gets a
                `content-length` of the script's bytes.
        """
        played = [(head, list(script)) for script in scripts]
        with self._scripts_lock:
            self._scripts[name.encode()] = played

    async def until_ended(self, bodies: int) -> None:
        """Wait until `bodies` answers have ended."""
        await eventually(lambda: self.ended >= bodies, "the provider's body has its end")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while True:
                body = await _request(reader)
                self.requests.append(json.loads(body))
                if not await self._answer(body, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(
        self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head, script = self._script(body)
        if head == SILENCE:
            await self._stay(reader, writer, comments=False)
            return False
        if head:
            content = b"".join(act for act in script if isinstance(act, bytes))
            writer.write(
                f"HTTP/1.1 {head}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content
            )
            return True
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_scripted\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for act in script:
            if isinstance(act, bytes):
                await _write(writer, act)
            elif isinstance(act, (int, float)):
                await asyncio.sleep(act)
            elif act == RESET:
                writer.transport.abort()
                return False
            elif act == EOF:
                writer.write(b"0\r\n\r\n")
                self.ended += 1
                return True
            else:
                await self._stay(reader, writer, comments=act == COMMENTS)
                return False
        raise AssertionError("a script says how it ends")

    async def _stay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, comments: bool
    ) -> None:
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            while not leaving.done():
                await asyncio.wait({leaving}, timeout=0.005 if comments else None)
                if comments and not leaving.done():
                    await _write(writer, b": still here\n\n")
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)  # a reset, perhaps
        leaving.exception()

    def _script(self, body: bytes) -> tuple[str, Script]:
        with self._scripts_lock:
            for name, scripts in self._scripts.items():
                if name in body:
                    return scripts.pop(0) if len(scripts) > 1 else scripts[0]
        raise AssertionError(f"no script for {body[:300]!r}")


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """Listen for the length of a block."""
    served = Scripted()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await served.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
