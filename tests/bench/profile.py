"""Says what an idle reader, or a run after 400 chunks, holds in memory: by our line, by package.

python -m tests.bench.profile reader|run

By `tracemalloc`, from inside the worker, from when a few are there already. Its sum is near to what
`make bench` sees from outside; the rest is what the allocators round up and keep free.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from tests.bench.allocations import by_our_line, by_package
from tests.bench.clients import Tally, all_streaming, connect, resume, send_message
from tests.bench.memory import start_runs
from tests.bench.probes import Probe
from tests.bench.seeds import fix_seeds
from tests.bench.servers import serving
from tests.bench.streams import new_chat
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from tracemalloc import Snapshot

    from tests.bench.servers import Server

_FEW: Final = 30
_READERS: Final = 500
_RUNS: Final = 50
_SETTLE_S: Final = 1.0
_LINES: Final = 40


async def _readers(server: Server) -> Callable[[int], Awaitable[object]]:
    chat = new_chat()
    writer = await connect(server.port, [send_message(chat, "rate=50 deltas=20")], Tally())
    await all_streaming(writer)

    async def more(number: int) -> object:
        clients = await connect(server.port, [resume(chat)] * number, Tally())
        await all_streaming(clients)
        return clients, writer

    return more


async def _runs(server: Server) -> Callable[[int], Awaitable[object]]:
    async def more(number: int) -> object:
        return await start_runs(server, number)

    return more


_KINDS: Final = {"reader": (_readers, _READERS), "run": (_runs, _RUNS)}


async def _profile(folder: Path, kind: str) -> Snapshot:
    probe = Probe(folder)
    environment = probe.environment(REPOSITORY / "src")
    prepare, number = _KINDS[kind]
    with serving(folder) as servers, servers.gateway(environment=environment) as server:
        more = await prepare(server)
        held = [await more(_FEW)]
        await asyncio.sleep(_SETTLE_S)
        await asyncio.to_thread(probe.ask, "trace")
        held.append(await more(number))
        await asyncio.sleep(_SETTLE_S)
        return await asyncio.to_thread(probe.snapshot, "held")


def main() -> None:
    """Profile, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("kind", choices=_KINDS)
    kind = parser.parse_args().kind
    fix_seeds("tests.bench.profile")
    with tempfile.TemporaryDirectory(prefix="midstream-profile-") as folder:
        snapshot = uvloop.run(_profile(Path(folder), kind))
    number = _KINDS[kind][1]
    for groups in (by_package(snapshot), by_our_line(snapshot)):
        total = sum(size for size, _ in groups.values())
        sys.stdout.write(f"\n{total / number:9.0f} B each, in pieces:\n")
        for named, (size, count) in list(groups.items())[:_LINES]:
            sys.stdout.write(f"{size / number:9.0f} B {count / number:7.1f} {named}\n")


if __name__ == "__main__":
    main()
