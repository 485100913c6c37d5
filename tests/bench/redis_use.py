"""Counts the commands to Redis, by a proxy on the way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import hiredis

from midstream.store.scripts.catalog import Scripts
from tests.bench.clients import Tally, all_streaming, connect, ended, send_message
from tests.bench.report import Row, Target
from tests.bench.streams import RATE, WARM_S, new_chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.servers import Server, Servers

_STREAMS: Final = 50
_WINDOW_S: Final = 4.0

_APPEND: Final = Scripts().append
_SHA: Final = _APPEND.sha.encode()
_RUN: Final = _APPEND.arguments.index("run") - len(_APPEND.arguments)
"""The place of the run in an append's command, from its end."""


class CountingProxy:
    """Forwards to Redis, and takes down the flushes: requests that append.

    Attributes:
        flushes: the runs that each appended to, in order.
        most_at_once: how many were waiting for their answer at the same time.
    """

    def __init__(self, target_port: int) -> None:
        self.flushes: list[list[bytes]] = []
        self.most_at_once = 0
        self._target_port = target_port
        self._waiting = 0
        self._serving: set[asyncio.Task[None]] = set()

    def restart(self) -> None:
        """Count from here on."""
        self.flushes = []
        self.most_at_once = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a new connection."""
        serving = asyncio.create_task(self._forward(reader, writer), name="counting proxy")
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """Drop every connection."""
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection("127.0.0.1", self._target_port)
        request: list[bytes] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(self._forward_answers(answers, writer, request))
                await self._forward_requests(reader, upstream, request)
                answering.cancel()
        finally:
            upstream.close()
            writer.close()

    async def _forward_requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, request: list[bytes]
    ) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(2**18):
            commands.feed(data)
            while (command := commands.gets()) is not False:
                if command[:2] == [b"EVALSHA", _SHA]:
                    if not request:
                        self._waiting += 1
                        self.most_at_once = max(self.most_at_once, self._waiting)
                    request.append(command[_RUN])
            upstream.write(data)

    async def _forward_answers(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, request: list[bytes]
    ) -> None:
        while data := await answers.read(2**18):
            if request:
                self._waiting -= 1
                self.flushes.append(list(request))
                request.clear()
            writer.write(data)


@asynccontextmanager
async def counting_proxy(target_port: int) -> AsyncIterator[tuple[int, CountingProxy]]:
    """Serve a proxy before a Redis; yields its port, too."""
    proxy = CountingProxy(target_port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], proxy
    finally:
        server.close()
        await proxy.close()


async def measure_redis(servers: Servers) -> list[Row]:
    """Return how many commands and pipelines appends take."""
    async with counting_proxy(servers.redis.port) as (port, proxy):
        gateway = servers.gateway(redis_url=f"redis://127.0.0.1:{port}/0")
        # In a thread: starting and ending wait for a gateway that needs the proxy, in this one.
        server = await asyncio.to_thread(gateway.__enter__)
        try:
            return await _count(servers, server, proxy)
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)


async def _count(servers: Servers, gateway: Server, proxy: CountingProxy) -> list[Row]:
    tally = Tally()
    requests = [send_message(new_chat(), f"rate={RATE}") for _ in range(_STREAMS)]
    clients = await connect(gateway.port, requests, tally)
    await all_streaming(clients)
    await asyncio.sleep(WARM_S)
    proxy.restart()
    tally.restart()
    await asyncio.sleep(_WINDOW_S)
    flushes, chunks, at_once = proxy.flushes, tally.chunks, proxy.most_at_once
    await servers.finish_answers()
    await ended(clients)
    appends = sum(map(len, flushes))
    repeated = max(max(runs.count(run) for run in runs) for runs in flushes)
    return [
        Row("Redis: flushes under way at once", at_once, "", target=Target(1, "value")),
        Row("… commands of one run in a flush", repeated, "", target=Target(1, "value")),
        Row("… runs in a flush, mean", appends / len(flushes), ""),
        Row("… runs in a flush, most", max(map(len, flushes)), ""),
        Row("… commands a chunk", appends / chunks, ""),
    ]
