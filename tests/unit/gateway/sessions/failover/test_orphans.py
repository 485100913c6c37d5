"""Orphans that were met, and a reaper that cannot have them yet."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from midstream.errors import StoreUnavailableError
from midstream.ids import RunId, SessionId
from midstream.sessions.failover.reaper import CLOSED_AT_ONCE, ORPHANS_A_TICK, LeaseLimits, Reaper
from midstream.sessions.log.orphans import Orphans
from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SESSION = SessionId("chat-1")
FIRST, SECOND = RunId("run_1"), RunId("run_2")
NEVER_S = 3_600.0


class Asked:
    """A store that counts what a reaper asks of it.

    Attributes:
        is_away: it answers nothing.
        most_at_once: how many take-overs it was asked for at one time.
    """

    def __init__(self, *, is_away: bool) -> None:
        self.is_away = is_away
        self.healthy_since: float | None = None
        self.asked = 0
        self.taken: list[RunId] = []
        self.most_at_once = 0
        self._at_once = 0

    def served_since(self, session_id: SessionId) -> float | None:
        """There is one Redis."""
        return self.healthy_since

    async def expired_leases(self, count: int, *, longest_ms: int) -> list[Any]:
        """No hint tells of a run."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailableError("away")
        return []

    async def expired_waits(self, count: int) -> list[Any]:
        """No run waits."""
        return []

    async def trim_due(self, count: int) -> None:
        """Nothing is due."""

    async def take_over(
        self, session_id: SessionId, run_id: RunId, lease_ms: int, **_: object
    ) -> None:
        """It lives, after all."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        self.taken.append(run_id)


class Left(Asked):
    """A store with the runs that a dead process has left."""

    def __init__(self, count: int) -> None:
        super().__init__(is_away=False)
        self.healthy_since = -NEVER_S
        self.left = [RunId(f"run_{number}") for number in range(count)]

    async def expired_leases(self, count: int, *, longest_ms: int) -> list[Any]:
        """Tell of some."""
        self.asked += 1
        return [(SESSION, run) for run in self.left[:count]]

    async def take_over(
        self, session_id: SessionId, run_id: RunId, lease_ms: int, **_: object
    ) -> Any:
        """Give it."""
        await super().take_over(session_id, run_id, lease_ms)
        self.left.remove(run_id)
        return SimpleNamespace(next=0, run=SimpleNamespace(state=RunState.OPEN))


async def resumes(_: object) -> bool:
    """Resume it."""
    return True


@asynccontextmanager
async def reaping(store: Asked, orphans: Orphans) -> AsyncIterator[None]:
    """Run a reaper that looks by itself once an hour."""
    limits = LeaseLimits(tick_s=NEVER_S, renew_interval_s=NEVER_S)
    reaper = Reaper(cast("Any", store), limits, lambda: (), cast("Any", None), orphans, resumes)
    task = asyncio.create_task(reaper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def all_has_run() -> None:
    """Let every task do what it can without waiting."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_away", [True, False], ids=["Redis away", "no lease long well"])
async def test_orphan_that_cannot_be_closed_yet_is_tried_once_and_with_the_next(
    *, is_away: bool
) -> None:
    """The reaper does not ask again at once, however often it meets one, and does not forget it."""
    store, orphans = Asked(is_away=is_away), Orphans()
    async with reaping(store, orphans):
        await all_has_run()
        looked = store.asked
        for _ in range(3):
            orphans.meet(SESSION, FIRST)
            await all_has_run()
        assert (looked, store.asked, store.taken) == (1, 2, [])

        store.is_away, store.healthy_since = False, -NEVER_S
        orphans.meet(SESSION, SECOND)
        await all_has_run()
        assert store.taken == [FIRST, SECOND]


async def test_orphans_of_a_dead_process_are_taken_over_some_at_a_time() -> None:
    """Readers of the last do not wait for the round trips of all before it; and each is taken."""
    store, orphans = Asked(is_away=False), Orphans()
    store.healthy_since = -NEVER_S
    runs = [RunId(f"run_{number}") for number in range(3 * CLOSED_AT_ONCE + 1)]
    for run in runs:
        orphans.meet(SESSION, run)
    async with reaping(store, orphans):
        await all_has_run()

    assert store.taken == runs
    assert store.most_at_once == CLOSED_AT_ONCE


async def test_more_orphans_than_a_look_tells_of_do_not_wait_for_the_next_tick() -> None:
    """A process that dies may leave hundreds; the reaper looks again as long as that gets on."""
    store = Left(2 * ORPHANS_A_TICK + 1)
    async with reaping(store, Orphans()):
        await all_has_run()

    assert store.left == []
    assert store.asked == 3 + 1  # the last look finds none
    assert store.most_at_once == CLOSED_AT_ONCE
