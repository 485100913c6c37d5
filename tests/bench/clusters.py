"""Measures what a cluster of three costs the gateway, beside one Redis of the same program.

What one Redis takes in one flush, a cluster takes in up to three.
"""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.appends import writing
from tests.bench.report import Target, compared_rounds
from tests.bench.servers import MIDSTREAM
from tests.bench.streams import MANY, WARM_STREAMS, in_rounds, stream
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_kinds import default_kind

if TYPE_CHECKING:
    from tests.bench.appends import Writers
    from tests.bench.report import Row
    from tests.bench.servers import Servers

ONE: Final = "one Redis"
RUNS: Final = {1: 1.3, 10: 1.6, 100: 1.6}
"""Runs a flush -> the most that an append may cost, of what it costs with one Redis."""
ROUNDS: Final = 9
CHUNK_TARGET: Final = 1.15


async def measure_clusters(servers: Servers) -> list[Row]:
    """Return the cost of an append, and of a chunk, in a cluster."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="midstream-bench-")))
        cluster = RedisCluster(folder, default_kind(), replicas=0)
        stack.callback(cluster.end)
        rows = await _appends(servers.redis_url, cluster.url)
        alone = replace(stack.enter_context(servers.gateway()), name=ONE)
        spread = stack.enter_context(servers.gateway(redis_url=cluster.url))
        for program in (spread, alone):
            await stream(servers, program, WARM_STREAMS)
        measured = partial(stream, servers, streams=MANY.streams, rate=MANY.rate)
        windows = await in_rounds(servers, [spread, alone], measured)
    rows.append(
        compared_rounds(
            f"in a cluster of three: CPU a chunk, {MANY}",
            "µs",
            [window.cpu_us for window in windows[MIDSTREAM]],
            ONE,
            [window.cpu_us for window in windows[ONE]],
            Target(CHUNK_TARGET, "ratio"),
        )
    )
    return rows


async def _appends(one_url: str, cluster_url: str) -> list[Row]:
    async with AsyncExitStack() as stack:
        spread = await stack.enter_async_context(writing(cluster_url))
        alone = await stack.enter_async_context(writing(one_url))
        return [await _compared(spread, alone, runs, limit) for runs, limit in RUNS.items()]


async def _compared(spread: Writers, alone: Writers, runs: int, limit: float) -> Row:
    both = (spread, alone)
    spent: dict[Writers, list[float]] = {writers: [] for writers in both}
    for writers in both:
        await writers.open(runs)
        await writers.write(runs)  # scripts are loaded, and connections opened
    for number in range(ROUNDS):
        for writers in both if number % 2 == 0 else reversed(both):
            spent[writers].append((await writers.write(runs)).cpu_us)
    return compared_rounds(
        f"in a cluster of three: CPU an append, {runs} at once",
        "µs",
        spent[spread],
        ONE,
        spent[alone],
        Target(limit, "ratio"),
    )
