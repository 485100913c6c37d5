"""Ten tabs of one browser, which opens six connections to a host and no more."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import command_of, descendants
from tests.support.proxy import faulty_proxy
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

TABS = 10


def proportional_bytes(pid: int) -> int:
    """Return a process's memory; shared memory is divided among its processes (Linux)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:") * 1024


def chromium_bytes() -> int:
    """Return the memory of all of Chromium's processes."""
    total = 0
    for pid in descendants(os.getpid()):
        with suppress(OSError, StopIteration):
            if "chrom" in command_of(pid).partition(" ")[0]:
                total += proportional_bytes(pid)
    return total


async def test_ten_tabs_are_live_and_each_can_send(deployment: Deployment, laptop: Profile) -> None:
    """Over HTTP/1.1: every tab streams what any of them sends, in its turn, and all know how
    many they are.
    """
    session = deployment.session()
    async with faulty_proxy(session.at.port) as proxy:
        before = chromium_bytes()
        at = Endpoint(proxy.port).url
        tabs = [await laptop.open(at, session.id) for _ in range(TABS)]
        for tab in tabs:
            await tab.until("chat.session.connection === 'live'")

        for turn, tab in enumerate(tabs):
            answer = deployment.simulator.held()
            await tab.send(answer.question)
            await asyncio.gather(*(each.reads(20) for each in tabs))
            await answer.release()
            await asyncio.gather(*(each.settles(messages=2 * turn + 2) for each in tabs))
        shown = [await tab.look() for tab in tabs]
        memory = (chromium_bytes() - before) / TABS / 2**20
        print(  # noqa: T201 - the figures are asked for
            f"\nten tabs: {proxy.connections} connections in all, {proxy.most_open} at once,"
            f" {memory:.0f} MiB a tab"
        )

        counted = "chat.session.here.length === 1 && chat.session.here[0].tabs === argument"
        for tab in tabs:
            await tab.until(counted, TABS)
        # The first one, which follows for all, among them.
        for tab in tabs[:3]:
            await tab.close()
        for tab in tabs[3:]:
            await tab.until(counted, TABS - 3)

    kept = (await session.snapshot())["messages"]
    assert [look["messages"] for look in shown] == [kept] * TABS
