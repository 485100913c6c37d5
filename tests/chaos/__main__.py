"""Breaks three gateways and their Redis in every way, under simulated people: `make chaos`.

python -m tests.chaos [--topology single|cluster|sentinel] [--server valkey-9] [--seconds 300]
    [--faults 0] [--seed NUMBER] [--people 12] [--folder PATH]

No answer may be lost or doubled, no reader may wait longer than 15 s after all faults have ended,
no process may die or log a traceback; over a cluster, sessions of healthy shards may not wait for a
dead one. Prints progress, and each violation at once, with the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import independence
from tests.chaos.clustered import ClusterBreaker, cluster_world
from tests.chaos.drive import drive
from tests.chaos.faults import ServerBreaker
from tests.chaos.ledger import Ledger
from tests.chaos.sentineled import SentinelBreaker, sentinel_world
from tests.chaos.world import World, libfaketime, world
from tests.support.redis_kinds import Kind, clustered
from tests.support.simulator import Simulator

if TYPE_CHECKING:
    from typing import TypeVar

    from tests.chaos.breaker import Breaker

    W = TypeVar("W", bound=World)

say = functools.partial(print, flush=True)
TOPOLOGIES = ("single", "cluster", "sentinel")


async def _drive(
    made: W, ledger: Ledger, breaking: type[Breaker[W]], options: argparse.Namespace
) -> None:
    await drive(
        made,
        ledger,
        breaking,
        seconds=options.seconds,
        seed=options.seed,
        people=options.people,
        least=options.faults,
    )


async def _break(
    options: argparse.Namespace, folder: Path, ledger: Ledger, simulator: Simulator
) -> None:
    kind: Kind = options.server
    if options.topology == "cluster":
        async with cluster_world(folder, kind, simulator) as cluster:
            say(await independence.measure(cluster, ledger))
            await _drive(cluster, ledger, ClusterBreaker, options)
    elif options.topology == "sentinel":
        async with sentinel_world(folder, kind, simulator) as sentinels:
            await _drive(sentinels, ledger, SentinelBreaker, options)
    else:
        library = libfaketime()
        if library is None:
            say("left out: Redis's clock is not set (this machine lacks libfaketime)")
        async with world(folder, simulator, library=library) as single:
            await _drive(single, ledger, ServerBreaker, options)


async def _run(options: argparse.Namespace, folder: Path) -> int:
    ledger = Ledger(say)
    simulator = Simulator(folder)
    try:
        await _break(options, folder, ledger, simulator)
    finally:
        simulator.end()
        say(f"{ledger.report()}\nseed={options.seed} seconds={options.seconds}")
    return 1 if ledger.wrongs else 0


def _kind(name: str) -> Kind:
    return next(kind for kind in clustered() if kind.name.startswith(name))


def main() -> None:
    """Drive for the given time; exit 1 after any violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--topology", choices=TOPOLOGIES, default="single", help="of the servers")
    parser.add_argument("--server", type=_kind, default="redis", help="of a cluster, or Sentinels")
    parser.add_argument("--seconds", type=float, default=300, help="how long things are broken")
    parser.add_argument("--faults", type=int, default=0, help="go on until there were so many")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="the same plan")
    parser.add_argument("--people", type=int, default=12, help="how many talk at once")
    parser.add_argument("--folder", type=Path, help="where logs and data stay; a temporary one")
    options = parser.parse_args()
    say(f"seed={options.seed} seconds={options.seconds} people={options.people}")
    with tempfile.TemporaryDirectory(prefix="midstream-chaos-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(asyncio.run(_run(options, folder)))


if __name__ == "__main__":
    main()
