"""Measures appends from outside: a writer posts each chunk, and a reader has it by a live stream.

Both sides do the same: an append is a request of its own, names its writer and its sequence so
that it can be repeated, and is answered once it is kept. Ours also checks what it is told: chunks
of a run, in the order of the protocol.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol

from tests.bench.clients import Tally, all_streaming, connect, get, now_us, resume
from tests.bench.report import compared_rounds
from tests.bench.servers import BENCH_KEY, DURABLE, DURABLE_MEMORY, WITH_WORKER
from tests.bench.streams import WARM_S, Window, in_rounds, new_chat, watch

if TYPE_CHECKING:
    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers

_WRITERS: Final = 20
_RATE: Final = 20
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_LIMIT_S: Final = 20.0


class Wire(Protocol):
    """How one kind of server is appended to."""

    async def begin(self) -> bytes:
        """Prepare; return the request of a live reader."""
        ...

    def append(self, number: int, line: bytes) -> bytes:
        """Return the request that appends one line, the `number`th from 0."""
        ...


class Connection:
    """One connection, kept for request after request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> bytes:
        """Send a request; return the body of its response.

        Raises:
            AssertionError: it was refused.
        """
        self.writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = b""
        if length is not None:
            body = await self._reader.readexactly(int(length[1]))
        elif _CHUNKED.search(head):
            body = await self._reader.readuntil(b"0\r\n\r\n")
        assert b" 20" in head[:13], (head + body)[:300]
        return body


class RunWire:
    """A run that an agent outside writes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chat = new_chat()
        self._path = ""
        self._first = 0

    async def begin(self) -> bytes:
        """Claim it, and open its text."""
        claim = {"id": self._chat, "key": self._chat, "text": "Go on"}
        claimed = json.loads(
            await self._connection.ask(_post("/api/agent/runs", json.dumps(claim).encode()))
        )
        self._path = f"/api/agent/runs/{self._chat}/{claimed['runId']}/chunks"
        self._path += f"?fence={claimed['fence']}&first="
        self._first = int(claimed["next"])
        opening = b'{"type":"text-start","id":"0"}\n'
        await self._connection.ask(_post(f"{self._path}{self._first}", opening))
        return resume(self._chat)

    def append(self, number: int, line: bytes) -> bytes:
        """Return the request."""
        return _post(f"{self._path}{self._first + 1 + number}", line)


class StreamWire:
    """A durable stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._path = f"/v1/stream/{new_chat()}"

    async def begin(self) -> bytes:
        """Create it."""
        head = f"PUT {self._path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\n"
        await self._connection.ask(f"{head}content-length: 0\r\n\r\n".encode())
        return get(f"{self._path}?offset=-1&live=sse")

    def append(self, number: int, line: bytes) -> bytes:
        """Return the request."""
        producer = f"producer-id: bench\r\nproducer-epoch: 0\r\nproducer-seq: {number}\r\n"
        return _post(self._path, line, f"content-type: text/plain\r\n{producer}")


def _post(path: str, body: bytes, headers: str = "content-type: application/json\r\n") -> bytes:
    headers += f"x-midstream-key: {BENCH_KEY}\r\ncontent-length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode() + body


async def measure_pushed(servers: Servers) -> list[Row]:
    """Return what an append costs and how soon it is read, beside Durable Streams' server."""
    with ExitStack() as stack:
        programs = stack.enter_context(servers.gateways(WITH_WORKER))
        programs.append(stack.enter_context(servers.durable(DURABLE)))
        programs.append(stack.enter_context(servers.durable(DURABLE_MEMORY)))

        async def measured(program: Server) -> Window:
            return await _appending(servers, program)

        windows = await in_rounds(servers, programs, measured)
    ours, *others = programs
    what = f"an append by HTTP, {_WRITERS} writers at {_RATE}/s"
    return [
        compared_rounds(
            figure,
            unit,
            [getattr(window, name) for window in windows[ours.name]],
            other.name,
            [getattr(window, name) for window in windows[other.name]],
        )
        for figure, unit, name in (
            (f"CPU of {what}", "µs", "cpu_us"),
            ("… until it is read, p50", "ms", "p50_ms"),
            ("… p99", "ms", "p99_ms"),
        )
        for other in others
    ]


async def _appending(servers: Servers, server: Server) -> Window:
    tally = Tally()
    async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as tasks:
        writers = []
        clients = []
        for phase in range(_WRITERS):
            opened = await asyncio.open_connection("127.0.0.1", server.port)
            connection = Connection(*opened)
            of_streams = server.name in (DURABLE, DURABLE_MEMORY)
            wire: Wire = StreamWire(connection) if of_streams else RunWire(connection)
            clients += await connect(server.port, [await wire.begin()], tally)
            writers.append(tasks.create_task(_write(connection, wire, phase / _WRITERS)))
        await all_streaming(clients)
        await asyncio.sleep(WARM_S)
        window = await watch(servers, server, tally)
        for writer in writers:
            writer.cancel()
    for client in clients:
        client.transport.abort()
    return window


async def _write(connection: Connection, wire: Wire, phase: float) -> None:
    loop = asyncio.get_running_loop()
    due_s, number = loop.time() + phase / _RATE, 0
    try:
        while True:
            await asyncio.sleep(due_s - loop.time())
            line = b'{"type":"text-delta","id":"0","delta":"@%016d..."}\n' % now_us()
            await connection.ask(wire.append(number, line))
            due_s += 1 / _RATE
            number += 1
    finally:
        connection.writer.close()
