"""Loads one gateway for an hour, and says what grows: `make soak` (SECONDS=3600 PEOPLE=20).

python -m tests.bench.soak [--seconds 3600] [--people 20] [--traces] [--base TREE]

Once a minute, or sixty times in all if that is more, it prints memory, tasks and open files; at the
end their slopes. With `--traces` it then names the code that allocated what has grown; tracing
costs a multiple of everything, so that a memory of a traced run says nothing beside one without.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import uvloop

from tests.bench.allocations import by_our_line
from tests.bench.builds import build_of
from tests.bench.churn import Person
from tests.bench.probes import Probe
from tests.bench.seeds import fix_seeds
from tests.bench.servers import serving
from tests.bench.slope import slope_of
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.builds import Build
    from tests.bench.servers import Server, Servers
    from tests.bench.slope import Slope

_EVERY_S: Final = 60.0
_WARM_SHARE: Final = 0.2
"""Share of the time that is left out of the slopes: caches fill, and tables get their size."""
_REST_S: Final = 10.0
"""After the load: the last runs end, and idle connections of providers stay."""

_MB: Final = 1024 * 1024


class Sample(NamedTuple):
    """What was there at one moment; memory in MB.

    `pause` is the longest collection of garbage since the last moment, in ms.
    """

    minute: float
    resident: float
    allocated: float
    unused: float
    blocks: float
    redis: float
    tasks: float
    files: float
    pause: float

    def line(self) -> str:
        """Return it as a line of the table."""
        return (
            f"{self.minute:6.1f} {self.resident:9.2f} {self.allocated:9.2f} {self.unused:9.2f} "
            f"{self.blocks / 1000:9.1f} {self.redis:9.2f} {self.tasks:6.0f} {self.files:6.0f} "
            f"{self.pause:6.0f}"
        )


HEAD: Final = (
    "minute  resident    C used  C unused  blocks/k     Redis  tasks  files  pause\n"
    "              MB        MB        MB                  MB                   ms"
)

FIGURES: Final = {
    "resident": ("resident set", "MB"),
    "allocated": ("C heap in use", "MB"),
    "blocks": ("Python's small allocations", ""),
    "redis": ("Redis", "MB"),
    "tasks": ("tasks", ""),
    "files": ("open files", ""),
}


def say(text: str) -> None:
    """Tell a person at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def slopes(samples: Sequence[Sample]) -> list[str]:
    """Return a line for each figure: its slope a minute, and that of the second half.

    A figure that rises to its level has a slope on the whole, and none in the second half.
    """
    first, last = samples[0].minute, samples[-1].minute
    settled = [each for each in samples if each.minute >= first + (last - first) * _WARM_SHARE]
    later = [each for each in samples if each.minute >= (first + last) / 2]
    lines = []
    for name, (shown, unit) in FIGURES.items():
        whole = slope_of([(each.minute, getattr(each, name)) for each in settled])
        half = slope_of([(each.minute, getattr(each, name)) for each in later])
        lines.append(
            f"{shown}, {unit or 'number'} a minute: {_said(whole)}; second half: {_said(half)}"
        )
    return lines


def _said(slope: Slope) -> str:
    verdict = "flat" if slope.is_flat else "rises" if slope.rise > 0 else "falls"
    return f"{slope.rise:+.3f} ({slope.low:+.3f} to {slope.high:+.3f}), {verdict}"


async def soak(
    servers: Servers, server: Server, probe: Probe, seconds: float, people: int, *, traces: bool
) -> list[Sample]:
    """Load the gateway; return the samples."""
    loop = asyncio.get_running_loop()
    samples: list[Sample] = []
    everybody = [Person(server.port, random.Random(number)) for number in range(people)]  # noqa: S311
    began_s, every_s = loop.time(), min(_EVERY_S, seconds / 60)
    say(HEAD)
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(person.live(), name="person") for person in everybody]
        traced = False
        while (passed_s := loop.time() - began_s) < seconds:
            await asyncio.sleep(every_s)
            samples.append(await _sample(servers, server, probe, loop.time() - began_s))
            say(samples[-1].line())
            if traces and not traced and passed_s > seconds * _WARM_SHARE:
                traced = True
                await asyncio.to_thread(probe.ask, "trace")
        for life in lives:
            life.cancel()
    say(f"{sum(person.turns for person in everybody):,} turns; now at rest")
    await asyncio.sleep(_REST_S)
    say((await _sample(servers, server, probe, loop.time() - began_s)).line())
    return samples


async def _sample(servers: Servers, server: Server, probe: Probe, passed_s: float) -> Sample:
    inside = await asyncio.to_thread(probe.ask)
    return Sample(
        minute=passed_s / 60,
        resident=server.resident_bytes() / _MB,
        allocated=inside.used / _MB,
        unused=inside.free / _MB,
        blocks=inside.blocks,
        redis=await asyncio.to_thread(servers.redis_bytes) / _MB,
        tasks=sum(inside.tasks.values()),
        files=server.open_files(),
        pause=max((seconds for _, seconds in inside.pauses), default=0.0) * 1000,
    )


async def _run(
    folder: Path, seconds: float, people: int, build: Build | None, *, traces: bool
) -> None:
    tree = REPOSITORY if build is None else build.tree
    modules = tree / "src" if (tree / "src").is_dir() else tree
    probe = Probe(folder)
    with (
        serving(folder) as servers,
        servers.gateway(build=build, environment=probe.environment(modules)) as server,
    ):
        samples = await soak(servers, server, probe, seconds, people, traces=traces)
        say("\n" + "\n".join(slopes(samples)))
        if traces:
            grown = by_our_line(await asyncio.to_thread(probe.snapshot, "grown"))
            say("\nallocated since the warm-up, and not freed, in KB and pieces:")
            for line, (size, count) in list(grown.items())[:25]:
                say(f"{size / 1024:10.1f} {count:8} {line}")


def main() -> None:
    """Soak one gateway."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--traces", action="store_true", help="name the code that allocates")
    parser.add_argument("--base", help="a commit, or a tree, in the place of this tree")
    asked = parser.parse_args()
    fix_seeds("tests.bench.soak")
    build = build_of(asked.base) if asked.base else None
    say(
        f"{asked.people} people for {asked.seconds / 60:.0f} minutes, from {time.strftime('%H:%M')}"
    )
    with tempfile.TemporaryDirectory(prefix="midstream-soak-") as folder:
        uvloop.run(_run(Path(folder), asked.seconds, asked.people, build, traces=asked.traces))


if __name__ == "__main__":
    main()
