"""Breaks three gateways and their Redis in every way, under simulated people: `make chaos`.

python -m tests.chaos [--seconds 300] [--faults 0] [--seed NUMBER] [--people 12] [--folder PATH]

No answer may be lost or doubled, no reader may wait longer than 15 s after all faults have ended,
no process may die or log a traceback. Prints progress, and each violation at once, with the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.drive import drive
from tests.chaos.ledger import Ledger
from tests.chaos.world import libfaketime, world
from tests.support.simulator import Simulator

say = functools.partial(print, flush=True)


async def _run(options: argparse.Namespace, folder: Path) -> int:
    ledger = Ledger(say)
    simulator = Simulator(folder)
    try:
        library = libfaketime()
        if library is None:
            say("left out: Redis's clock is not set (this machine lacks libfaketime)")
        async with world(folder, simulator, library=library) as made:
            await drive(
                made,
                ledger,
                seconds=options.seconds,
                seed=options.seed,
                people=options.people,
                least=options.faults,
            )
    finally:
        simulator.end()
        say(f"{ledger.report()}\nseed={options.seed} seconds={options.seconds}")
    return 1 if ledger.wrongs else 0


def main() -> None:
    """Drive for the given time; exit 1 after any violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
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
