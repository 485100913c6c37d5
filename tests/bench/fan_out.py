"""Measures the delivery of one answer to many readers, also beside a deaf reader."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from tests.bench.clients import (
    Tally,
    all_streaming,
    connect,
    connect_deaf,
    ended,
    get,
    resume,
    send_message,
)
from tests.bench.report import Target, compared_rounds
from tests.bench.streams import WARM_S, in_rounds, new_chat, watch

if TYPE_CHECKING:
    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers
    from tests.bench.streams import Window

READERS: Final = 1_000
_RATE: Final = 20
_FEW_READERS: Final = 100
_LARGE_DELTA: Final = 8_000
"""At 50 a second a deaf reader is 2 MB behind in five seconds: every buffer between is full."""
_DEAF_BUFFER: Final = 4_096


async def measure_fan_out(servers: Servers) -> list[Row]:
    """Return a delivery's CPU beside the least possible, and the latency beside a deaf reader."""
    alone, beside = [], []
    with servers.gateways() as gateways, servers.bare_writer(_RATE) as bare:
        ours, *base = gateways

        async def measured(program: Server) -> Window:
            if program is bare:
                return await _bare(servers, bare)
            return await _one_run(servers, program, READERS, f"rate={_RATE}")

        windows = await in_rounds(servers, [ours, bare, *base], measured)
        plan = f"rate=50 size={_LARGE_DELTA}"
        for _ in range(servers.plan.rounds):
            alone.append(await _one_run(servers, ours, _FEW_READERS, plan))
            beside.append(await _one_run(servers, ours, _FEW_READERS, plan, deaf=True))
    rows = [
        compared_rounds(
            figure,
            unit,
            [getattr(window, name) for window in windows[ours.name]],
            other.name,
            [getattr(window, name) for window in windows[other.name]],
            Target(limit, "ratio") if limit is not None and other is bare else None,
        )
        for figure, unit, name, limit in (
            (f"CPU a delivery, one run to {READERS:,} readers", "µs", "cpu_us", 1.4),
            ("… p99 latency", "ms", "p99_ms", None),
        )
        for other in (bare, *base)
    ]
    return [
        *rows,
        compared_rounds(
            "p50 latency of 100 readers beside a deaf one",
            "ms",
            [window.p50_ms for window in beside],
            "the same without it",
            [window.p50_ms for window in alone],
            Target(1.1, "ratio"),
        ),
        compared_rounds(
            "… CPU a delivery",
            "µs",
            [window.cpu_us for window in beside],
            "the same without it",
            [window.cpu_us for window in alone],
            Target(1.1, "ratio"),
        ),
    ]


async def _one_run(
    servers: Servers, gateway: Server, readers: int, plan: str, *, deaf: bool = False
) -> Window:
    """Watch readers of one run; a deaf one, if any, connects last."""
    chat, tally = new_chat(), Tally()
    clients = await connect(gateway.port, [send_message(chat, plan)], Tally())
    await all_streaming(clients)
    clients += await connect(gateway.port, [resume(chat)] * readers, tally)
    async with AsyncExitStack() as stack:
        if deaf:
            silent = await connect_deaf(gateway.port, resume(chat), _DEAF_BUFFER)
            stack.callback(silent.transport.abort)
        await all_streaming(clients)
        await asyncio.sleep(WARM_S)
        window = await watch(servers, gateway, tally)
    await servers.finish_answers()
    await ended(clients)
    return window


async def _bare(servers: Servers, bare: Server) -> Window:
    tally = Tally()
    clients = await connect(bare.port, [get("/")] * READERS, tally)
    await all_streaming(clients)
    await asyncio.sleep(WARM_S)
    window = await watch(servers, bare, tally)
    for client in clients:
        client.transport.abort()
    return window
