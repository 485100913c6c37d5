"""Measures what one process holds: idle feeds, up to ten thousand, and up to a thousand runs.

python -m tests.bench.scale [--write]

What one more costs is measured at each size: if it grows with the number, something is worse than
linear. `--write` puts the table into docs/performance.md and draws docs/scale.svg.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import uvloop

from tests.bench.clients import Client, Tally, all_streaming, connect, ended, get, send_message
from tests.bench.plot import Panel, svg_of
from tests.bench.report import machine, written_into
from tests.bench.seeds import fix_seeds
from tests.bench.servers import serving
from tests.bench.streams import new_chat
from tests.support.processes import REPOSITORY, eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.servers import Server, Servers
    from tests.support.gateway import Settings

FEEDS: Final = (1_000, 3_000, 10_000)
RUNS: Final = (100, 300, 1_000)
"""A process has no more answers of one provider at once: so many connections its SDK opens."""
RATE: Final = 10
_OTHER_FILES: Final = 500
_FROM_ONE_ADDRESS: Final[Settings] = {
    "connections": {"max_connections": 20_000, "max_connections_per_address": 20_000}
}
_WARM: Final = 50
"""Feeds or runs before the measurement: the first ones bring other things into memory."""
_AT_ONCE: Final = 200
"""Connections that are opened before the next ones: fewer than an accept queue holds."""
_REST_S: Final = 3.0
_WINDOW_S: Final = 16.0
"""Longer than a heartbeat's interval, so that each idle feed has had one."""

PAGE: Final = REPOSITORY / "docs" / "performance.md"
PLOT: Final = REPOSITORY / "docs" / "scale.svg"
BEGIN: Final = "<!-- scale: written by `make scale WRITE=1` -->"
END: Final = "<!-- end of scale -->"


class Held(NamedTuple):
    """What a process holds, and what that costs.

    Attributes:
        number: of feeds or runs.
        memory_kb: resident memory of each.
        cpu: share of one core, in per cent: of feeds at rest, of runs while they stream.
        open_ms: time to accept one: of two hundred at once, until all have their first bytes.
        p99_ms: of a chunk's latency; None for feeds.
        cpu_us: of a chunk; None for feeds.
    """

    number: int
    memory_kb: float
    cpu: float
    open_ms: float
    p99_ms: float | None = None
    cpu_us: float | None = None


def say(what: object) -> None:
    """Tell a person at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def hold_feeds(servers: Servers) -> list[Held]:
    """Return what idle feeds cost, each of a session of its own that is never written to."""
    with servers.gateway(settings=_FROM_ONE_ADDRESS) as gateway:
        clients, _ = await _open(gateway, [_feed() for _ in range(_WARM)])
        await asyncio.sleep(_REST_S)
        empty = gateway.resident_bytes()
        held = []
        for number in FEEDS:
            more = [_feed() for _ in range(number + _WARM - len(clients))]
            opened, open_ms = await _open(gateway, more)
            clients += opened
            await asyncio.sleep(_REST_S)
            cpu_s = gateway.cpu_seconds()
            await asyncio.sleep(_WINDOW_S)
            cpu = (gateway.cpu_seconds() - cpu_s) / _WINDOW_S * 100
            each_kb = (gateway.resident_bytes() - empty) / number / 1024
            assert not any(client.ended.done() for client in clients), "a feed has ended"
            held.append(Held(number, each_kb, cpu, open_ms))
            say(held[-1])
        for client in clients:
            client.transport.abort()
    return held


async def hold_runs(servers: Servers) -> list[Held]:
    """Return what slow runs cost, each with its reader."""
    held = []
    for number in RUNS:
        # A new process for each: a run's memory grows with what it has said.
        with servers.gateway() as gateway:
            warm, _ = await _open(gateway, [_send() for _ in range(_WARM)])
            await all_streaming(warm)
            await asyncio.sleep(_REST_S)
            empty = gateway.resident_bytes()
            tally = Tally()
            more = [_send() for _ in range(number - _WARM)]
            clients, open_ms = await _open(gateway, more, tally)
            await all_streaming(clients)
            await asyncio.sleep(_REST_S)
            tally.restart()
            cpu_s = gateway.cpu_seconds()
            await asyncio.sleep(_WINDOW_S)
            cpu_s = gateway.cpu_seconds() - cpu_s
            each = number / len(more)
            held.append(
                Held(
                    number,
                    (gateway.resident_bytes() - empty) / len(more) / 1024,
                    cpu_s / _WINDOW_S * 100,
                    open_ms,
                    statistics.quantiles(tally.latencies_us, n=100)[98] / 1000,
                    cpu_s / (tally.chunks * each) * 1e6,
                )
            )
            say(held[-1])
            await servers.finish_answers()
            await ended([*warm, *clients])
    return held


def _feed() -> bytes:
    return get(f"/api/chat/{new_chat()}/events")


def _send() -> bytes:
    return send_message(new_chat(), f"rate={RATE}")


async def _open(
    server: Server, requests: Sequence[bytes], tally: Tally | None = None
) -> tuple[list[Client], float]:
    """Open a connection for each request; return them, and the mean time that one took, in ms."""
    clients: list[Client] = []
    began_s = time.monotonic()
    for begin in range(0, len(requests), _AT_ONCE):
        some = requests[begin : begin + _AT_ONCE]
        opened = await connect(server.port, some, tally or Tally(), pace_s=0)
        await eventually(partial(_all_begun, opened), "the first bytes", 60)
        clients += opened
    return clients, (time.monotonic() - began_s) / len(requests) * 1000


def _all_begun(clients: Sequence[Client]) -> bool:
    return all(client.first_at_us for client in clients)


def as_table(feeds: Sequence[Held], runs: Sequence[Held]) -> str:
    """Return both as Markdown."""
    lines = [
        "| on one process | memory each | CPU of a core | time to accept one | p99 | CPU a chunk |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for what, held in (("idle feeds", feeds), (f"runs at {RATE}/s", runs)):
        for one in held:
            p99 = "" if one.p99_ms is None else f"{one.p99_ms:.1f} ms"
            cpu = "" if one.cpu_us is None else f"{one.cpu_us:.0f} µs"
            lines.append(
                f"| {one.number:,} {what} | {one.memory_kb:.1f} KB | {one.cpu:.1f} % | "
                f"{one.open_ms:.2f} ms | {p99} | {cpu} |"
            )
    return "\n".join(lines)


def as_plot(feeds: Sequence[Held], runs: Sequence[Held]) -> str:
    """Return both as an SVG: what all of them cost, against their number."""
    origin = (0.0, 0.0)
    memory = [(one.number, one.number * one.memory_kb / 1024) for one in feeds]
    at_rest = [(one.number, one.cpu) for one in feeds]
    streaming = [(one.number, one.cpu) for one in runs]
    return svg_of(
        [
            Panel("Memory of idle feeds", "MB", "idle feeds", [origin, *memory]),
            Panel("CPU of idle feeds", "%", "idle feeds", [origin, *at_rest]),
            Panel(f"CPU of runs at {RATE}/s", "%", "runs", [origin, *streaming]),
        ]
    )


async def _measure(folder: Path) -> tuple[list[Held], list[Held]]:
    with serving(folder) as servers:
        return await hold_feeds(servers), await hold_runs(servers)


def main() -> None:
    """Measure, print, and write if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name} and {PLOT.name}")
    asked = parser.parse_args()
    fix_seeds("tests.bench.scale")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FEEDS[-1] + _OTHER_FILES
    if soft < needed:
        if hard < needed:
            parser.error(
                f"unable to open {needed} files; the limit is {hard}: raise it by ulimit -Hn"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with tempfile.TemporaryDirectory(prefix="midstream-scale-") as folder:
        feeds, runs = uvloop.run(_measure(Path(folder)))
    table = as_table(feeds, runs)
    say(f"{table}\n\n{machine()}")
    if asked.write:
        PLOT.write_text(as_plot(feeds, runs))
        PAGE.write_text(written_into(PAGE.read_text(), table, BEGIN, END))


if __name__ == "__main__":
    main()
