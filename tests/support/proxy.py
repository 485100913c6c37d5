"""A loopback TCP proxy that cuts, stalls and delays the traffic through it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import hiredis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class FaultyProxy:
    """Forwards connections to one port.

    Attributes:
        port: the port that it listens on.
        cuts: for each new connection, in order, the number of bytes from the server after
            which it is reset; None, or no entry, leaves it whole.
        refusing: reset new connections at once.
        answers: the error that every command of new connections gets, in Redis's place; None:
            commands reach Redis.
        latency_s: the delay of the server's bytes.
        connections: the number of connections so far.
        most_open: the largest number of connections at once.
    """

    def __init__(self, target_port: int, cuts: Sequence[int | None] = ()) -> None:
        self.port = 0
        self.cuts = list(cuts)
        self.refusing = False
        self.answers: str | None = None
        self.latency_s = 0.0
        self.connections = 0
        self.most_open = 0
        self._target_port = target_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delayed: bytes | None = None
        self._delaying = asyncio.Event()
        self._arriving = asyncio.Event()
        self._last: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def move_to(self, port: int) -> None:
        """Forward new connections to another port."""
        self._target_port = port

    def delay(self, start: bytes) -> None:
        """Delay new requests that begin with `start`, until `arrive`; their sender may leave."""
        self._delayed = start
        self._delaying.clear()
        self._arriving.clear()

    async def delays(self) -> None:
        """Wait until a request is delayed."""
        await self._delaying.wait()

    def arrive(self) -> None:
        """Let delayed requests through, and stop delaying."""
        self._delayed = None
        self._arriving.set()

    def hold(self) -> None:
        """Hold back the server's bytes, with every connection open."""
        self._flowing.clear()

    def hold_after(self, request: bytes) -> None:
        """Let the next request with these bytes reach the server, and no answer come back."""
        self._last = request

    def release(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def cut_all(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer), name="proxied connection")
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = self.cuts[self.connections] if self.connections < len(self.cuts) else None
        self.connections += 1
        if self.refusing:
            _reset(writer)
            return
        if self.answers is not None:
            await self._refuse(reader, writer, self.answers)
            return
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, server}
        self.most_open = max(self.most_open, len(self._writers) // 2)
        requests = asyncio.create_task(self._copy(reader, server))
        try:
            await self._forward(upstream, writer, cut)
        finally:
            requests.cancel()
            self._writers -= {writer, server}
            _reset(server)
            if cut is not None:
                _reset(writer)
            writer.close()

    async def _refuse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: str
    ) -> None:
        commands = hiredis.Reader()
        self._writers.add(writer)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                commands.feed(data)
                while commands.gets() is not False:
                    writer.write(f"-{word}\r\n".encode())
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _forward(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int | None
    ) -> None:
        passed = 0
        while cut is None or passed < cut:
            room = 65536 if cut is None else min(65536, cut - passed)
            try:
                data = await upstream.read(room)
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self._flowing.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
            except ConnectionError:
                return
            passed += len(data)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late = False
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._delayed is not None and data.startswith(self._delayed):
                    late = True
                    self._delaying.set()
                    await self._arriving.wait()
                if self._last is not None and self._last in data:
                    self._last = None
                    self.hold()
                writer.write(data)
                await writer.drain()
        if not late:
            # Otherwise the sender may have left: the server must read the request before the end.
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@asynccontextmanager
async def faulty_proxy(
    target_port: int, cuts: Sequence[int | None] = ()
) -> AsyncIterator[FaultyProxy]:
    """Run a proxy for the length of a block; every connection is reset at its end."""
    proxy = FaultyProxy(target_port, cuts)
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.release()
        proxy.arrive()
        server.close()
        proxy.cut_all()
        if proxy._serving:
            await asyncio.wait(proxy._serving)
