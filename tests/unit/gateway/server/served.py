"""A guarded server in the test's own event loop, and raw connections to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from midstream.server import Guard, GuardedConfig
from midstream.server.http import GuardedHttpProtocol
from midstream.settings.connections import ConnectionSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT_S: Final = 30
WHOLE: Final = b"GET /hello HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"
HEAD: Final = b" HTTP/1.1\r\nhost: here\r\n"


class Application:
    """An ASGI application: answers with the length of what it was sent; `/feed` never ends."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.cut_short = 0
        self.feed_left = asyncio.Event()
        self.fields: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or a socket that only listens."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        self.requests.append(scope["path"])
        self.fields = scope["headers"]
        if scope["path"] == "/feed":
            await self._feed(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cut_short += 1
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        length = str(len(body)).encode()
        fields = [(b"content-length", str(len(length)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": length, "more_body": False})

    async def _feed(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.feed_left.set()


class Raw:
    """A connection that sends given bytes, one by one if need be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def read_until(self, end: bytes) -> bytes:
        """Return what comes, up to `end`."""
        async with asyncio.timeout(LIMIT_S):
            return await self._reader.readuntil(end)

    async def read_all(self) -> bytes:
        """Return what comes, until the server has nothing more to say."""
        async with asyncio.timeout(LIMIT_S):
            return await self._reader.read()

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        await self._writer.wait_closed()


def refusal_of(answer: bytes) -> tuple[int, str]:
    """Return the status and code of an answer, which is the whole of it and closes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert f"content-length: {len(body)}".encode() in head
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]


class Served:
    """A server that listens on loopback.

    Args:
        app: in the place of its own.

    Attributes:
        state: uvicorn's own: connections and tasks.
    """

    def __init__(self, limits: ConnectionSettings, app: Any = None) -> None:
        self.app = Application()
        self.guard = Guard(limits, tick_s=0.01)
        self.config = GuardedConfig(
            app or self.app, self.guard, lifespan="off", log_config=None, access_log=False
        )
        self.config.load()
        self.state = uvicorn.server.ServerState()
        self.port = 0

    @property
    def connections(self) -> list[GuardedHttpProtocol]:
        """The HTTP connections that are open."""
        return [each for each in self.state.connections if isinstance(each, GuardedHttpProtocol)]

    def protocol(self) -> GuardedHttpProtocol:
        """Return what serves a new connection."""
        return GuardedHttpProtocol(config=self.config, server_state=self.state, app_state={})

    @asynccontextmanager
    async def connected(self, address: str = "127.0.0.1") -> AsyncIterator[Raw]:
        """Connect, from an address of this machine."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(address, 0)
        )
        raw = Raw(reader, writer)
        try:
            yield raw
        finally:
            writer.close()

    async def ask(self, *pieces: bytes) -> bytes:
        """Send bytes on a new connection; return all that comes back until it ends."""
        async with self.connected() as raw:
            for piece in pieces:
                await raw.send(piece)
            return await raw.read_all()


@asynccontextmanager
async def serving(app: Any = None, **limits: Any) -> AsyncIterator[Served]:
    """Serve for the length of a block, with limits over the defaults."""
    served = Served(ConnectionSettings(**limits), app)
    server = await asyncio.get_running_loop().create_server(served.protocol, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for connection in served.connections:
            connection.break_off()
        async with asyncio.timeout(LIMIT_S):
            # The server ends them, and sets no event.
            while served.state.connections or served.state.tasks:  # noqa: ASYNC110
                await asyncio.sleep(0)
