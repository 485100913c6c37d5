"""Says where the gateway's processor time goes, by `perf`: which libraries, which system calls.

python -m tests.bench.shares [--streams 150] [--rate 50] [--base TREE]

`perf` interrupts by the processor's clock and sees the kernel too. A profiler that looks in from
outside, as py-spy does, sees a process most often in a system call, and says too much of them.
It needs `perf` (Debian: linux-perf) and `kernel.perf_event_paranoid` of 2 or less, or root.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from tests.bench.builds import build_of
from tests.bench.clients import Tally, all_streaming, connect, ended, send_message
from tests.bench.seeds import fix_seeds
from tests.bench.servers import serving
from tests.bench.streams import WARM_S, new_chat
from tests.support.processes import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.builds import Build
    from tests.bench.servers import Server

_SAMPLES_A_SECOND: Final = 999
_WINDOW_S: Final = 8

_FRAME: Final = re.compile(r"^\s*[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \((.*)\)$")
_CALL: Final = re.compile(r"^_*(?:GI_+)?(?:libc_)?")
_PACKAGE: Final = re.compile(r"/site-packages/(\w+)")
_LIBRARY: Final = re.compile(r"(?:.*/)?([A-Za-z0-9_+-]+)[^/]*$")

PYTHON: Final = "Python"
_KERNEL: Final = "[kernel"
_PYTHONS: Final = ("libpython", "python3", "python")
_MEMORY: Final = re.compile(r"(?i)malloc|free|gc_|_gc|alloc|dealloc|subtype_clear|arena")
_EVALUATING: Final = re.compile(r"^_PyEval|^PyEval|^_PyFrame|^_PyFunction_Vectorcall")


def shares_of(script: str) -> dict[str, float]:
    """Return the share of each kind of code, largest first, in what `perf script` has printed."""
    counted: collections.Counter[str] = collections.Counter(map(kind_of, _samples(script)))
    total = counted.total()
    return {kind: count / total for kind, count in counted.most_common()}


def _samples(script: str) -> Iterator[list[tuple[str, str]]]:
    """Yield each sample's frames, the innermost first: function and file."""
    for sample in script.split("\n\n"):
        found = [match.groups() for line in sample.splitlines() if (match := _FRAME.match(line))]
        if found:
            yield [(str(name), str(file)) for name, file in found]


def kind_of(frames: list[tuple[str, str]]) -> str:
    """Return what a sample stands for: a system call, a part of Python, or a library."""
    name, file = frames[0]
    if _KERNEL in file:
        name, file = next((frame for frame in frames if _KERNEL not in frame[1]), ("", ""))
        return f"kernel: {_CALL.sub('', name) if 'libc.' in file else 'other'}"
    if package := _PACKAGE.search(file):
        return package[1]
    library = _LIBRARY.match(Path(file).name)
    short = library[1] if library else file
    if not short.startswith(_PYTHONS):
        return short
    if _EVALUATING.search(name):
        return f"{PYTHON}: running code"
    return f"{PYTHON}: memory" if _MEMORY.search(name) else f"{PYTHON}: objects"


async def _recorded(server: Server, folder: Path) -> str:
    """Record the gateway's worker for a while; return what `perf script` prints."""
    (worker,) = children(server.pid)
    data = str(folder / "perf.data")
    rate = str(_SAMPLES_A_SECOND)
    record = ["record", "-e", "cpu-clock", "-F", rate, "-g", "-p", str(worker), "-o", data]
    await _perf(*record, "--", "sleep", str(_WINDOW_S))
    return await _perf("script", "-i", data, "-F", "comm,ip,sym,dso")


async def _perf(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "perf", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise SystemExit(f"unable to sample; perf says: {errors.decode().strip()[-400:]}")
    return output.decode(errors="replace")


async def _measure(folder: Path, streams: int, rate: int, build: Build | None) -> dict[str, float]:
    with serving(folder) as servers, servers.gateway(build=build) as gateway:
        requests = [send_message(new_chat(), f"rate={rate}") for _ in range(streams)]
        clients = await connect(gateway.port, requests, Tally())
        await all_streaming(clients)
        await asyncio.sleep(WARM_S)
        script = await _recorded(gateway, folder)
        await servers.finish_answers()
        await ended(clients)
    return shares_of(script)


def main() -> None:
    """Sample, and print the shares."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shares", description=__doc__)
    parser.add_argument("--streams", type=int, default=150)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--base", help="a commit, or a tree, in the place of this tree")
    asked = parser.parse_args()
    if shutil.which("perf") is None:
        parser.error("unable to sample; there is no `perf` here (Debian: linux-perf)")
    fix_seeds("tests.bench.shares")
    build = build_of(asked.base) if asked.base else None
    with tempfile.TemporaryDirectory(prefix="midstream-shares-") as folder:
        shares = uvloop.run(_measure(Path(folder), asked.streams, asked.rate, build))
    for kind, share in shares.items():
        if share >= 0.005:
            sys.stdout.write(f"{share:6.1%}  {kind}\n")


if __name__ == "__main__":
    main()
