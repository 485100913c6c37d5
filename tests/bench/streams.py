"""Measures many answers at once: the CPU of a chunk, and its latency."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.clients import Tally, all_streaming, connect, ended, send_message
from tests.bench.report import Target, compared_rounds
from tests.bench.servers import NODE, PROXY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers

RATE: Final = 50
WARM_S: Final = 1.5
WARM_STREAMS: Final = 20
MANY_STREAMS: Final = 150
FEW_STREAMS: Final = 50
WINDOW_S: Final = 4.0
ROUNDS: Final = 3

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
    """Return a chunk's CPU at 150 streams, and its latency at 50."""
    with servers.gateway() as gateway, servers.node() as node, servers.proxy() as proxy:
        programs = (gateway, node, proxy)
        for program in programs:
            # Imports, connections, a just-in-time compiler: costs of only the first streams.
            await stream(servers, program, WARM_STREAMS)
        many = [await _round(servers, programs, MANY_STREAMS) for _ in range(ROUNDS)]
        few = [await _round(servers, programs, FEW_STREAMS) for _ in range(ROUNDS)]
    return _costs(many) + _latencies(few)


async def _round(servers: Servers, programs: Sequence[Server], streams: int) -> list[Window]:
    """Measure programs in turn, so that a noisy minute hits them all."""
    return [await stream(servers, program, streams) for program in programs]


def _costs(rounds: Sequence[Sequence[Window]]) -> list[Row]:
    ours, node, proxy = zip(*rounds, strict=True)
    what = f"CPU a chunk, {MANY_STREAMS} streams at {RATE}/s"
    cpu = [[window.cpu_us for window in each] for each in (ours, node, proxy)]
    redis = [[window.redis_cpu_us for window in each] for each in (ours, node)]
    offered = MANY_STREAMS * RATE * WINDOW_S
    in_time = [[window.chunks / offered * 100 for window in each] for each in (ours, node)]
    return [
        compared_rounds(what, "µs", cpu[0], NODE, cpu[1], Target(0.25, "ratio")),
        compared_rounds(what, "µs", cpu[0], PROXY, cpu[2], Target(3, "ratio")),
        compared_rounds("… of Redis besides", "µs", redis[0], NODE, redis[1]),
        compared_rounds("… delivered in time", "%", in_time[0], NODE, in_time[1]),
    ]


def _latencies(rounds: Sequence[Sequence[Window]]) -> list[Row]:
    ours, node, proxy = zip(*rounds, strict=True)
    what = f"latency, {FEW_STREAMS} streams at {RATE}/s"
    rows = []
    for name, limit_ms in (("p50", 1.0), ("p99", 5.0)):
        values = [
            [getattr(window, f"{name}_ms") for window in each] for each in (ours, node, proxy)
        ]
        target = Target(limit_ms, "value")
        rows += [
            compared_rounds(f"{what}, {name}", "ms", values[0], NODE, values[1], target),
            compared_rounds(f"{what}, {name}", "ms", values[0], PROXY, values[2]),
        ]
    return rows
