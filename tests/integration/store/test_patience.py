"""Leases that wait for another attempt at a job, once the producer is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from midstream.ids import RunId
from midstream.store.calls import StopStatus
from midstream.store.records import RunState

from .scenario import EXPIRED, HOUR_MS, MINUTES_MS, SESSION, hint_of, key, now_ms, opened, submit

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

RUN = RunId("r1")
SILENT = replace(submit(lease_ms=EXPIRED), patience_ms=HOUR_MS)
"""A run that is to be renewed at once, and waits for an hour if it is not."""


async def is_silent(store: RedisStore) -> bool:
    """Whether both readings of the session say so."""
    state = await store.load(SESSION)
    assert state is not None
    assert state.run is not None
    assert not state.run_expired
    page = await store.read_log(SESSION, state.meta.position, count=1)
    assert state.run.silent == (RUN in page.silent_runs)
    return state.run.silent


async def test_silent_run_is_no_orphan(store: RedisStore) -> None:
    """Nobody takes it over; its session says that another attempt is awaited."""
    await opened(store, SILENT)
    assert await is_silent(store)
    assert await store.expired_leases(10, longest_ms=MINUTES_MS) == []
    assert await store.take_over(SESSION, RUN, MINUTES_MS) is None


async def test_renewed_run_is_not_silent(store: RedisStore) -> None:
    """And an ordinary renewal shortens no lease."""
    await opened(store, replace(submit(lease_ms=MINUTES_MS), patience_ms=HOUR_MS))
    assert not await is_silent(store)
    await store.renew([key()], EXPIRED)
    assert await is_silent(store)


async def test_next_attempt_ends_the_silence(store: RedisStore) -> None:
    """It says anew how long the run waits."""
    await opened(store, SILENT)
    taken = await store.take_over(SESSION, RUN, MINUTES_MS, force=True)
    assert taken is not None
    assert not await is_silent(store)
    again = await store.take_over(SESSION, RUN, EXPIRED, force=True, patience_ms=HOUR_MS)
    assert again is not None
    assert await is_silent(store)


async def test_stop_of_a_silent_run_is_not_made_to_wait(store: RedisStore) -> None:
    """It is an orphan from then on, which the one who stops it closes."""
    await opened(store, SILENT)
    stop = await store.request_stop(
        SESSION, run_id=RUN, message_id=None, by="ada", tombstone_ms=MINUTES_MS
    )
    assert stop.status is StopStatus.ORPHAN
    taken = await store.take_over(SESSION, RUN, MINUTES_MS)
    assert taken is not None
    assert taken.run.state is RunState.STOPPING


async def test_attempt_at_a_stopped_run_makes_nobody_wait(store: RedisStore) -> None:
    """It has the ordinary lease, in which to end the run."""
    await opened(store, replace(submit(lease_ms=MINUTES_MS), patience_ms=HOUR_MS))
    await store.request_stop(
        SESSION, run_id=RUN, message_id=None, by="ada", tombstone_ms=MINUTES_MS
    )
    await store.take_over(SESSION, RUN, EXPIRED, force=True, patience_ms=HOUR_MS)
    assert await store.take_over(SESSION, RUN, MINUTES_MS) is not None


async def test_long_lease_is_looked_at_as_often_as_others(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Its hint is never further ahead than an ordinary lease is long."""
    await opened(store, replace(submit(lease_ms=MINUTES_MS), patience_ms=HOUR_MS))
    raw_redis.zadd(hint_of(store, "leases"), {f"{SESSION}|{RUN}": 1})
    assert await store.expired_leases(10, longest_ms=MINUTES_MS) == []
    score = raw_redis.zscore(hint_of(store, "leases"), f"{SESSION}|{RUN}")
    assert isinstance(score, float)
    assert score <= now_ms() + MINUTES_MS


async def test_producer_says_anew_how_long_the_run_waits(store: RedisStore) -> None:
    """For its own lease and the later renewals; a run that is stopped meanwhile waits no longer."""
    await opened(store, submit(lease_ms=MINUTES_MS))
    (renewed,) = await store.renew([key()], EXPIRED, patience_ms=HOUR_MS)
    assert renewed.held
    assert await is_silent(store)
    await store.renew([key()], EXPIRED)
    assert await is_silent(store)
    await store.request_stop(
        SESSION, run_id=RUN, message_id=None, by="ada", tombstone_ms=MINUTES_MS
    )
    (renewed,) = await store.renew([key()], EXPIRED, patience_ms=HOUR_MS)
    assert renewed.stopped_by == "ada"
    assert await store.take_over(SESSION, RUN, MINUTES_MS) is not None
