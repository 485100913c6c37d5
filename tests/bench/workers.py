"""Measures what workers on one machine bring and cost, and what one Redis takes from them."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.bench.appends import writing
from tests.bench.report import Row, compared_rounds
from tests.bench.streams import MANY, WARM_STREAMS, WINDOW_S, Load, in_rounds, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.servers import Server, Servers
    from tests.bench.streams import Window

WORKERS: Final = (1, 2, 4)
LOADS: Final = (MANY, Load(300, 50), Load(600, 50))
"""The last is about what two cores can do, with both ends of the load on them."""

WRITERS: Final = 3
RUNS: Final = 100
APPENDS: Final = 30_000
"""Of each writer: so many that Redis has no pause between their flushes."""


async def measure_workers(servers: Servers) -> list[Row]:
    """Return a chunk's CPU with each number of workers, most chunks, and most appends."""
    with ExitStack() as stack:
        programs = [
            replace(
                stack.enter_context(servers.gateway(arguments=("--workers", str(count)))),
                name=_named(count),
            )
            for count in WORKERS
        ]
        for program in programs:
            await stream(servers, program, WARM_STREAMS * WORKERS[-1])
        rows: list[Row] = []
        for load in LOADS:
            measured = partial(stream, servers, streams=load.streams, rate=load.rate)
            windows = await in_rounds(servers, programs, measured)
            for program in programs[1:]:
                rows += _beside_one(load, windows[program.name], windows[_named(1)], program)
    return [*rows, *await _most_appends(servers)]


def _named(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _beside_one(
    load: Load, ours: Sequence[Window], one: Sequence[Window], program: Server
) -> list[Row]:
    figures = {
        f"{program.name}: CPU a chunk, {load}": ("µs", "cpu_us"),
        "… of Redis besides": ("µs", "redis_cpu_us"),
        "… p99 latency": ("ms", "p99_ms"),
    }
    rows = [
        compared_rounds(
            figure,
            unit,
            [getattr(window, name) for window in ours],
            _named(1),
            [getattr(window, name) for window in one],
        )
        for figure, (unit, name) in figures.items()
    ]
    delivered = ([window.chunks / WINDOW_S for window in windows] for windows in (ours, one))
    rows.append(
        compared_rounds("… chunks delivered", "/s", next(delivered), _named(1), next(delivered))
    )
    return rows


async def _most_appends(servers: Servers) -> list[Row]:
    """Return how many appends one Redis takes, by committers that leave it no pause."""
    async with AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(writing(servers.redis_url)) for _ in range(WRITERS)
        ]
        for each in writers:
            await each.open(RUNS)
            await each.write(RUNS)
        rates, costs = [], []
        for _ in range(servers.plan.rounds):
            cpu_s = servers.redis.cpu_seconds()
            spent = await asyncio.gather(*(each.write(RUNS, APPENDS) for each in writers))
            cpu_s = servers.redis.cpu_seconds() - cpu_s
            rates.append(sum(each.a_second for each in spent))
            costs.append(cpu_s / (APPENDS * WRITERS) * 1e6)
    return [
        Row(
            f"one Redis: appends, {WRITERS} gateways of {RUNS} runs", statistics.median(rates), "/s"
        ),
        Row("… its CPU an append", statistics.median(costs), "µs"),
    ]
