"""Measures many answers at once: the CPU of a chunk, and its latency."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.clients import Tally, all_streaming, connect, ended, send_message
from tests.bench.report import Target, compared_rounds
from tests.bench.servers import NODE, PROXY, RESUMABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers

RATE: Final = 50
WARM_S: Final = 1.5
WARM_STREAMS: Final = 20
FEW_STREAMS: Final = 50
WINDOW_S: Final = 4.0


class Load(NamedTuple):
    """So many streams at once, of so many chunks a second each."""

    streams: int
    rate: int

    def __str__(self) -> str:
        return f"{self.streams} streams at {self.rate:,}/s"


MANY: Final = Load(150, RATE)
FEW: Final = Load(FEW_STREAMS, RATE)
LOADS: Final = (MANY, FEW, Load(16, 500), Load(4, 2_000))
"""A quiet model; the same at a third of the load; a fast one; the fastest there are."""

LIGHT: Final = Load(10, RATE)
"""Within the reach of the Python peer, which delivers some 600 chunks a second."""

BASE_TARGETS: Final = {MANY: 0.55, FEW: 0.55, Load(16, 500): 0.5, Load(4, 2_000): 0.42}
"""Of the CPU a chunk that the build of 050f06f took."""

_chat_numbers = itertools.count()


@dataclass(frozen=True)
class Window:
    """The figures of one window: CPU in microseconds a chunk, latency in milliseconds."""

    chunks: int
    cpu_us: float
    redis_cpu_us: float
    p50_ms: float
    p99_ms: float


def new_chat() -> str:
    """Return the id of a chat that no server has seen."""
    return f"bench-{next(_chat_numbers)}"


async def stream(
    servers: Servers,
    server: Server,
    streams: int,
    rate: int = RATE,
    request_of: Callable[[str, str], bytes] = send_message,
) -> Window:
    """Let `server` answer `streams` chats at once, and measure one window.

    Args:
        request_of: makes a request from a chat's id and a plan.
    """
    tally = Tally()
    requests = [request_of(new_chat(), f"rate={rate}") for _ in range(streams)]
    clients = await connect(server.port, requests, tally)
    await all_streaming(clients)
    await asyncio.sleep(WARM_S)
    window = await watch(servers, server, tally)
    await servers.finish_answers()
    await ended(clients)
    return window


async def watch(
    servers: Servers, server: Server, tally: Tally, window_s: float = WINDOW_S
) -> Window:
    """Return the figures of the next `window_s` seconds."""
    tally.restart()
    cpu_s, redis_cpu_s = server.cpu_seconds(), servers.redis.cpu_seconds()
    await asyncio.sleep(window_s)
    chunks, latencies = tally.chunks, tally.latencies_us
    cpu_s = server.cpu_seconds() - cpu_s
    redis_cpu_s = servers.redis.cpu_seconds() - redis_cpu_s
    percentiles = statistics.quantiles(latencies, n=100)
    return Window(
        chunks=chunks,
        cpu_us=cpu_s / chunks * 1e6,
        redis_cpu_us=redis_cpu_s / chunks * 1e6,
        p50_ms=percentiles[49] / 1000,
        p99_ms=percentiles[98] / 1000,
    )


async def measure_streams(servers: Servers) -> list[Row]:
    """Return a chunk's CPU at each load, and its latency at the lightest."""
    with ExitStack() as stack:
        programs = stack.enter_context(servers.gateways())
        programs.append(stack.enter_context(servers.node()))
        programs.append(stack.enter_context(servers.proxy()))
        for program in programs:
            # Imports, connections, a just-in-time compiler: costs of only the first streams.
            await stream(servers, program, WARM_STREAMS)
        rows: list[Row] = []
        for load in LOADS:
            windows = await in_rounds(servers, programs, partial(_loaded, servers, load))
            rows += _costs(load, programs, windows)
            if load is FEW:
                rows += _latencies(load, programs, windows)
        python = stack.enter_context(servers.resumable())
        if python:
            programs = [programs[0], *python]
            windows = await in_rounds(servers, programs, partial(_loaded, servers, LIGHT))
            rows += [
                *_costs(LIGHT, programs, windows),
                *_latencies(LIGHT, programs, windows),
            ]
    return rows


async def _loaded(servers: Servers, load: Load, program: Server) -> Window:
    return await stream(servers, program, load.streams, load.rate)


async def in_rounds(
    servers: Servers,
    programs: Sequence[Server],
    measure: Callable[[Server], Awaitable[Window]],
) -> dict[str, list[Window]]:
    """Measure programs in turn, in reversed order every other round: a noisy minute hits all."""
    windows: dict[str, list[Window]] = {program.name: [] for program in programs}
    for number in range(servers.plan.rounds):
        for program in programs if number % 2 == 0 else reversed(programs):
            windows[program.name].append(await measure(program))
    return windows


def _costs(
    load: Load, programs: Sequence[Server], windows: Mapping[str, Sequence[Window]]
) -> list[Row]:
    ours, *others = programs
    targets = {NODE: 0.35, PROXY: 2.1} if load is MANY else {}
    rows = [
        compared_rounds(
            f"CPU a chunk, {load}",
            "µs",
            [window.cpu_us for window in windows[ours.name]],
            other.name,
            [window.cpu_us for window in windows[other.name]],
            base_target(other.name, BASE_TARGETS.get(load, 1.0)) or _ratio(targets.get(other.name)),
        )
        for other in others
    ]
    rows += [
        compared_rounds(
            "… of Redis besides",
            "µs",
            [window.redis_cpu_us for window in windows[ours.name]],
            other.name,
            [window.redis_cpu_us for window in windows[other.name]],
        )
        for other in others
        if other.name != PROXY
    ]
    offered = load.streams * load.rate * WINDOW_S
    return rows + [
        compared_rounds(
            "… delivered in time",
            "%",
            [window.chunks / offered * 100 for window in windows[ours.name]],
            other.name,
            [window.chunks / offered * 100 for window in windows[other.name]],
        )
        for other in others
        if other.name in (NODE, RESUMABLE)
    ]


def base_target(other: str, limit: float) -> Target | None:
    """Return a target beside the build that these targets are about; None beside any other."""
    return Target(limit, "ratio") if other == "build of 050f06f" else None


def _ratio(limit: float | None) -> Target | None:
    return None if limit is None else Target(limit, "ratio")


def _latencies(
    load: Load, programs: Sequence[Server], windows: Mapping[str, Sequence[Window]]
) -> list[Row]:
    ours, *others = programs
    return [
        compared_rounds(
            f"latency, {load}, {name}",
            "ms",
            [getattr(window, f"{name}_ms") for window in windows[ours.name]],
            other.name,
            [getattr(window, f"{name}_ms") for window in windows[other.name]],
            Target(limit_ms, "value") if load is FEW and other is others[0] else None,
        )
        for name, limit_ms in (("p50", 0.4), ("p99", 1.5))
        for other in others
    ]
