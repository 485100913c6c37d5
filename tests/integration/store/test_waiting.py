"""A run that waits for somebody: under way, without producer, lease or process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from midstream.ids import NO_TENANT, UserId
from midstream.store.calls import (
    AppendStatus,
    OpenStatus,
    Say,
    SayStatus,
    StopStatus,
    WaitStatus,
)
from midstream.store.records import RunInfo, RunOutcome, RunState

from .scenario import (
    EXPIRED,
    HOUR_MS,
    OWNER,
    SESSION,
    batch,
    close,
    hint_of,
    key,
    message,
    opened,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio


async def test_run_that_waits_is_no_orphan_and_nobodys_to_write(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Its lease is gone, and so is its hint; it counts as under way."""
    await opened(store, submit(lease_ms=EXPIRED))
    assert await store.wait(key(), HOUR_MS) is WaitStatus.WAITING
    state = await store.load(SESSION)

    assert state is not None
    assert state.run is not None
    assert (state.run.state, state.run_expired) == (RunState.WAITING, False)
    assert state.meta.format == 3
    assert await store.expired_leases(10) == []
    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is None
    assert await store.take_over(SESSION, key().run_id, HOUR_MS, force=True) is None
    assert (await store.append([batch(0)]))[0].status is AppendStatus.FENCED
    assert not (await store.renew([key()], HOUR_MS))[0].held
    assert (await store.close_run(close(0))).status is AppendStatus.FENCED
    assert (await store.open_run(submit("u2", "r2"))).status is OpenStatus.ACTIVE
    assert raw_redis.zscore(hint_of(store, "waits"), f"{SESSION}|r1") is not None


async def test_first_claimant_has_the_run_and_may_ask_again(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    await opened(store, replace(submit(), wait_ms=HOUR_MS))
    first = await store.claim(SESSION, key().run_id, "ann", HOUR_MS)
    second = await store.claim(SESSION, key().run_id, "bob", HOUR_MS)
    again = await store.claim(SESSION, key().run_id, "ann", HOUR_MS)

    assert first is not None
    assert (first.key, first.run.state) == (key("r1", 2), RunState.OPEN)
    assert second is None
    assert again == first
    assert (await store.append([batch(0, fence=2)]))[0].status is AppendStatus.APPENDED
    assert raw_redis.zscore(hint_of(store, "waits"), f"{SESSION}|r1") is None


async def test_claimant_of_before_is_refused_once_another_has_the_run(store: RedisStore) -> None:
    """A repeated claim never gives the fence of somebody else."""
    await opened(store, replace(submit(), wait_ms=HOUR_MS))
    assert await store.claim(SESSION, key().run_id, "ann", EXPIRED) is not None
    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is not None
    assert await store.claim(SESSION, key().run_id, "ann", HOUR_MS) is None


async def test_stop_of_a_run_that_waits_leaves_it_to_be_closed(store: RedisStore) -> None:
    """There is no producer to hear of it."""
    await opened(store, replace(submit(), wait_ms=HOUR_MS))
    answer = await store.request_stop(
        SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS
    )
    taken = await store.take_over(SESSION, key().run_id, HOUR_MS)

    assert answer.status is StopStatus.ORPHAN
    assert taken is not None
    assert taken.stopped_by == "ada"
    assert await store.claim(SESSION, key().run_id, "ann", HOUR_MS) is None


async def test_stop_that_comes_first_keeps_a_run_from_waiting(store: RedisStore) -> None:
    await opened(store)
    await store.request_stop(SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS)
    assert await store.wait(key(), HOUR_MS) is WaitStatus.STOPPING
    closed = await store.close_run(close(0, outcome=RunOutcome.STOPPED))
    assert closed.status is AppendStatus.APPENDED


async def test_wait_whose_time_has_ended_is_taken_over_once(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Found by its hint. Whoever takes it may close it, or claim it for the agent."""
    await opened(store, replace(submit(), wait_ms=EXPIRED))
    assert await store.expired_waits(10) == [(SESSION, "r1")]
    taken = await store.take_over(SESSION, key().run_id, HOUR_MS)
    late = await store.take_over(SESSION, key().run_id, HOUR_MS)

    assert taken is not None
    assert (taken.run.state, taken.key.fence) == (RunState.WAITING, 2)
    assert late is None
    assert await store.expired_waits(10) == []
    assert raw_redis.zscore(hint_of(store, "waits"), f"{SESSION}|r1") is not None
    closed = await store.close_run(close(0, fence=2, outcome=RunOutcome.INTERRUPTED))
    assert closed.status is AppendStatus.APPENDED


async def test_wait_outlasts_a_clock_that_is_set_back(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """No process renews a wait, so it does not expire like a lease; it begins anew."""
    await opened(store, replace(submit(), wait_ms=HOUR_MS))
    meta = f"ms:{{{SESSION}}}:meta"
    later = int(raw_redis.hget(meta, "until") or 0) + 24 * HOUR_MS
    raw_redis.hset(meta, "until", later)

    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is None
    assert int(raw_redis.hget(meta, "until") or 0) < later - 22 * HOUR_MS


def said(name: str, parent: str, *, run: RunInfo, owner: UserId = OWNER) -> Say:
    """Say a message while a run waits."""
    return Say(
        session_id=SESSION,
        expected_owner=owner,
        expected_tenant=NO_TENANT,
        run=run,
        message=message(name, parent, content=name),
        request_key=f"key of {name}",
    )


async def test_message_that_is_said_meanwhile_is_what_the_run_answers(store: RedisStore) -> None:
    """Once, in order, by who may write, and only while the run waits."""
    first = await opened(store, replace(submit(), wait_ms=HOUR_MS))
    assert first.run is not None
    run = first.run
    assert await store.say(said("u2", "u1", run=run)) is SayStatus.SAID
    assert await store.say(said("u2", "u1", run=run)) is SayStatus.SAID
    assert await store.say(said("u1", "u2", run=run)) is SayStatus.CONFLICT
    assert await store.say(said("u3", "u1", run=run)) is SayStatus.STALE
    assert await store.say(said("u3", "u2", run=run, owner=UserId("eve"))) is SayStatus.DENIED
    assert await store.say(said("u3", "u2", run=replace(run, id="r9"))) is SayStatus.ELSEWHERE
    state = await store.load(SESSION)
    taken = await store.claim(SESSION, key().run_id, "ann", HOUR_MS)

    assert state is not None
    assert [each.id for each in state.path] == ["u1", "u2"]
    assert taken is not None
    assert taken.run.user_message_id == "u2"
    assert await store.run_of_request(SESSION, "key of u2") == run.id
    assert await store.say(said("u3", "u2", run=run)) is SayStatus.ELSEWHERE


async def test_run_waits_again_after_a_claim(store: RedisStore) -> None:
    """A claimant that lets go: the next one gets it, with what was said."""
    await opened(store, replace(submit(), wait_ms=HOUR_MS))
    first = await store.claim(SESSION, key().run_id, "ann", HOUR_MS)
    assert first is not None
    await store.append([batch(0, 2, fence=2)])
    assert await store.wait(first.key, HOUR_MS) is WaitStatus.WAITING
    second = await store.claim(SESSION, key().run_id, "ann", HOUR_MS)

    assert second is not None
    assert (second.key.fence, second.next) == (4, 2)
