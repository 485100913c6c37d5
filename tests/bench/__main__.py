"""Measure Midstream beside its peers, and print the figures: `make bench`.

python -m tests.bench [streams proxied pushed resume reload fan-out memory redis cluster workers]
                      [--base 050f06f] [--rounds 3] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from tests.bench.builds import UnavailableError, build_of
from tests.bench.clusters import measure_clusters
from tests.bench.fan_out import measure_fan_out
from tests.bench.memory import measure_memory
from tests.bench.proxied import measure_proxied
from tests.bench.pushed import measure_pushed
from tests.bench.redis_use import measure_redis
from tests.bench.reload import measure_reload
from tests.bench.report import machine, table, written_into
from tests.bench.resume import measure_resume
from tests.bench.seeds import fix_seeds
from tests.bench.servers import Plan, serving
from tests.bench.streams import measure_streams
from tests.bench.workers import measure_workers
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.report import Row
    from tests.bench.servers import Servers

PAGE: Final = REPOSITORY / "docs" / "performance.md"

MEASUREMENTS: Final = {
    "streams": measure_streams,
    "proxied": measure_proxied,
    "pushed": measure_pushed,
    "resume": measure_resume,
    "reload": measure_reload,
    "fan-out": measure_fan_out,
    "memory": measure_memory,
    "redis": measure_redis,
    "cluster": measure_clusters,
    "workers": measure_workers,
}


def say(text: str) -> None:
    """Tell a person at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_left_out(plan: Plan) -> None:
    """Name the programs that were not measured, with the reasons."""
    for name, reason in plan.left_out.items():
        say(f"\nleft out: {name}; {reason}")


async def _measure(servers: Servers, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        began_s = time.monotonic()
        found = await MEASUREMENTS[name](servers)
        say(f"\n{name} ({time.monotonic() - began_s:.0f} s)\n{table(found)}")
        rows += found
    return rows


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*MEASUREMENTS, []], help="all by default")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}, if all are")
    parser.add_argument("--base", help="a commit, or a tree, to measure beside this tree")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison")
    arguments = parser.parse_args()
    unfixed = fix_seeds("tests.bench")
    load = os.getloadavg()[0]
    say(f"{machine()}\n{unfixed}".rstrip())
    if load > 0.5:
        say(f"The machine is busy (load {load:.1f}): latencies will be too high.")
    names = arguments.figures or list(MEASUREMENTS)
    try:
        base = build_of(arguments.base) if arguments.base else None
    except UnavailableError as error:
        parser.error(f"unable to measure beside {arguments.base}; {error}")
    plan = Plan(base, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="midstream-bench-") as folder:
        say("measuring; all of it takes about twenty minutes")
        with (
            serving(Path(folder), plan) as servers,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            rows = runner.run(_measure(servers, names))
    print_left_out(plan)
    if arguments.figures:
        return
    figures = f"{table(rows)}\n\n{datetime.date.today():%-d %B %Y}. {machine()}."
    say(f"\n{figures}")
    if arguments.write:
        PAGE.write_text(written_into(PAGE.read_text(), figures))


if __name__ == "__main__":
    main()
