"""Measures the memory of an idle reader and of an open run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.bench.clients import Client, Tally, all_streaming, connect, ended, resume, send_message
from tests.bench.report import Row, Target
from tests.bench.servers import NODE
from tests.bench.streams import RATE, new_chat
from tests.support.processes import eventually

if TYPE_CHECKING:
    from tests.bench.servers import Server, Servers

_READERS: Final = 1_000
_RUNS: Final = 100
_CHUNKS: Final = 400
"""An answer of usual length, nearly done."""
_FEW: Final = 30
"""Readers or runs before the measurement, because the first ones bring other things into memory."""
_SETTLE_S: Final = 1.0


async def measure_memory(servers: Servers) -> list[Row]:
    """Return the resident set of an idle reader and of an active run."""
    rows = []
    for figure, measure, limit_kb in (
        ("memory of an idle reader", _idle_reader, 10),
        (f"memory of a run after {_CHUNKS} chunks", _active_run, 60),
    ):
        # A new process for each: otherwise a measurement would use memory that the last one freed.
        with servers.gateway() as gateway:
            ours = await measure(servers, gateway)
        with servers.node() as node:
            peer = await measure(servers, node)
        target = Target(limit_kb, "value")
        rows.append(Row(figure, ours / 1024, "KB", NODE, peer / 1024, target=target))
    return rows


async def _idle_reader(servers: Servers, server: Server) -> float:
    """Return the bytes that each further reader adds when a few are there."""
    chat = new_chat()
    clients = await connect(server.port, [send_message(chat, "rate=50 deltas=20")], Tally())
    await all_streaming(clients)
    clients += await connect(server.port, [resume(chat)] * _FEW, Tally())
    await asyncio.sleep(_SETTLE_S)
    before = server.resident_bytes()
    clients += await connect(server.port, [resume(chat)] * _READERS, Tally())
    await all_streaming(clients)
    await asyncio.sleep(_SETTLE_S)
    grown = server.resident_bytes() - before
    await servers.finish_answers()
    await ended(clients)
    return grown / _READERS


async def _active_run(servers: Servers, server: Server) -> float:
    """Return the bytes of a run, its reader and its connection to the provider."""
    clients = await start_runs(server, _FEW)
    before = server.resident_bytes()
    clients += await start_runs(server, _RUNS)
    grown = server.resident_bytes() - before
    await servers.finish_answers()
    await ended(clients)
    return grown / _RUNS


async def start_runs(server: Server, runs: int) -> list[Client]:
    """Start runs; return once all their deltas have arrived, with the runs still open."""
    tally = Tally()
    plan = f"rate={RATE} deltas={_CHUNKS}"
    requests = [send_message(new_chat(), plan) for _ in range(runs)]
    clients = await connect(server.port, requests, tally)
    await eventually(lambda: tally.chunks >= runs * _CHUNKS, "all chunks", 60)
    return clients
