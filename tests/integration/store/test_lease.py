from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from midstream.ids import RunId, SessionId
from midstream.store.calls import AppendStatus, Renewed
from midstream.store.records import RunOutcome, RunState

from .scenario import (
    EXPIRED,
    HOUR_MS,
    MINUTES_MS,
    SESSION,
    batch,
    close,
    hint_of,
    key,
    now_ms,
    opened,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

RUN = RunId("r1")


async def test_take_over_waits_until_the_lease_has_expired(store: RedisStore) -> None:
    """A run that is being written belongs to its producer."""
    await opened(store)

    assert await store.take_over(SESSION, RUN, HOUR_MS) is None
    (answer,) = await store.append([batch(0)])
    assert answer.next == 1


async def test_take_over_returns_what_the_run_holds(store: RedisStore) -> None:
    """The new owner has all it needs to close the run."""
    run = await opened(store, submit(lease_ms=EXPIRED))
    await store.append([batch(0, 3)])
    taken = await store.take_over(SESSION, RUN, HOUR_MS)

    assert taken is not None
    assert (taken.key, taken.next, taken.opened) == (key(fence=2), 3, run.opened)
    assert (taken.run, taken.stopped_by) == (run.run, None)


async def test_take_over_is_given_to_one(store: RedisStore) -> None:
    """Of two reapers only the first gets the run: it holds a lease of its own now."""
    await opened(store, submit(lease_ms=EXPIRED))
    first = await store.take_over(SESSION, RUN, HOUR_MS)
    second = await store.take_over(SESSION, RUN, HOUR_MS)

    assert first is not None
    assert second is None


async def test_forced_take_over_does_not_wait_for_the_lease(store: RedisStore) -> None:
    """A caller with the run's own key is its next producer; the last one is fenced off."""
    await opened(store)
    await store.append([batch(0)])
    taken = await store.take_over(SESSION, RUN, HOUR_MS, force=True)
    (refused,) = await store.append([batch(1)])

    assert taken is not None
    assert (taken.key.fence, taken.next) == (2, 1)
    assert refused.status is AppendStatus.FENCED
    await store.close_run(close(1, fence=2))
    assert await store.take_over(SESSION, RUN, HOUR_MS, force=True) is None


async def test_take_over_can_be_taken_over(store: RedisStore) -> None:
    """A reaper that dies leaves an orphan like any other."""
    await opened(store, submit(lease_ms=EXPIRED))
    await store.take_over(SESSION, RUN, EXPIRED)
    taken = await store.take_over(SESSION, RUN, HOUR_MS)

    assert taken is not None
    assert taken.key.fence == 3


async def test_take_over_of_a_renewed_run_is_refused(store: RedisStore) -> None:
    """A producer that comes back in time keeps its run, and its hint is put right."""
    await opened(store, submit(lease_ms=EXPIRED))
    await store.renew([key()], HOUR_MS)
    assert await store.take_over(SESSION, RUN, HOUR_MS) is None
    assert await store.expired_leases(10) == []


async def test_stale_hint_of_a_living_run_gets_its_lease_again(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A hint that lags behind the lease is corrected, not lost: the run may die later."""
    await opened(store)
    raw_redis.zadd(hint_of(store, "leases"), {f"{SESSION}|{RUN}": 1})

    assert await store.expired_leases(10) == []
    assert await store.take_over(SESSION, RUN, HOUR_MS) is None
    score: Any = raw_redis.zscore(hint_of(store, "leases"), f"{SESSION}|{RUN}")
    assert abs(score - now_ms() - HOUR_MS) < MINUTES_MS


@pytest.mark.parametrize("state", ["ended", "erased", "never opened"])
async def test_stale_hint_is_removed(store: RedisStore, raw_redis: redis.Redis, state: str) -> None:
    """A process that follows a hint to an ended run removes the hint."""
    if state != "never opened":
        await opened(store, submit(lease_ms=EXPIRED))
    if state == "ended":
        await store.close_run(close(0))
    if state == "erased":
        await store.erase(SESSION)
    raw_redis.zadd(hint_of(store, "leases"), {f"{SESSION}|{RUN}": 1})
    raw_redis.expire(hint_of(store, "leases"), 100)

    assert await store.take_over(SESSION, RUN, HOUR_MS) is None
    assert await store.expired_leases(10) == []


async def test_expired_leases_come_longest_first_up_to_the_limit(store: RedisStore) -> None:
    """A reaper that cannot take all takes those that wait longest."""
    for i, lease_ms in enumerate([-10_000, -30_000, -20_000, HOUR_MS]):
        await opened(store, submit(session=SessionId(f"chat-{i}"), lease_ms=lease_ms))

    assert await store.expired_leases(2) == [("chat-1", RUN), ("chat-2", RUN)]
    assert len(await store.expired_leases(10)) == 3


async def test_renew_answers_for_each_run(store: RedisStore) -> None:
    """Held, fenced, ended and gone runs are told apart in one call, in order."""
    sessions = [SessionId(f"chat-{i}") for i in range(3)]
    for session in sessions:
        await opened(store, submit(session=session, lease_ms=EXPIRED))
    await store.take_over(sessions[1], RUN, HOUR_MS)
    await store.close_run(close(0, session=sessions[2]))
    answers = await store.renew(
        [*(key(session=session) for session in sessions), key(session=SESSION)], HOUR_MS
    )

    assert answers == [Renewed(held=held) for held in (True, False, False, False)]
    assert await store.expired_leases(10) == []
    assert await store.renew([], HOUR_MS) == []


async def test_renewed_lease_is_no_orphan(store: RedisStore) -> None:
    """The session's state says whether its run's lease has expired."""
    await opened(store, submit(lease_ms=EXPIRED))
    orphaned = await store.load(SESSION)
    await store.renew([key()], HOUR_MS)
    renewed = await store.load(SESSION)
    await store.close_run(close(0))
    ended = await store.load(SESSION)

    assert orphaned is not None
    assert renewed is not None
    assert ended is not None
    expired = (orphaned.run_expired, renewed.run_expired, ended.run_expired)
    assert expired == (True, False, False)


async def test_close_after_a_take_over_ends_the_run_as_asked(store: RedisStore) -> None:
    """The reaper's terminal is the run's."""
    await opened(store, submit(lease_ms=EXPIRED))
    await store.append([batch(0)])
    taken = await store.take_over(SESSION, RUN, HOUR_MS)
    assert taken is not None
    await store.close_run(close(1, fence=2, outcome=RunOutcome.INTERRUPTED))
    state = await store.load(SESSION)

    assert state is not None
    assert state.run is not None
    assert (state.run.state, state.run.outcome) == (RunState.ENDED, RunOutcome.INTERRUPTED)
