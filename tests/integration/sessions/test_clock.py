"""Redis's clock jumps: no living run is closed for it, and a dead one not as late as the clock is.

The scripts of these stores add what `clock` says to Redis's time, as setting the clock would.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.ids import RunId, SessionId
from midstream.store.redis.store import RedisStore
from midstream.store.scripts import catalog as scripts
from tests.integration.sessions.test_several_gateways import mortal
from tests.integration.store.scenario import EXPIRED, HOUR_MS, SESSION, key, opened, submit
from tests.support.played import ALICE, FAST, Reading, send, types, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import redis

    from midstream.sessions.service import Sessions
    from tests.support.played import Script

pytestmark = pytest.mark.anyio

HELLO = user_message("u1", "hello")
HOUR_S = 3_600
ASKED = "local time = redis.call('TIME')\n"
SET = "time[1] = time[1] + (redis.call('GET', 'clock') or 0)\n"


@pytest.fixture(autouse=True)
def settable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests set the clock."""
    assert any(ASKED in each.text for each in scripts.DESCRIPTIONS if each.name == "take_over")
    for each in scripts.DESCRIPTIONS:
        monkeypatch.setattr(each, "text", each.text.replace(ASKED, ASKED + SET))


@pytest.fixture
async def settable_store(settable: None, redis_url: str) -> AsyncIterator[RedisStore]:
    """A store by that clock."""
    async with RedisStore.connect(redis_url) as store:
        yield store


def set_clock(raw_redis: redis.Redis, by_s: int) -> None:
    """Set the clock forward; back, if negative."""
    raw_redis.set("clock", by_s, ex=HOUR_S)


@pytest.mark.parametrize("by_s", [30, HOUR_S, -HOUR_S])
async def test_living_runs_go_on_when_the_clock_jumps(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, raw_redis: redis.Redis, by_s: int
) -> None:
    """On two gateways, each of which reaps; for longer than a lease."""
    both = await gateways(), await gateways()
    sent = []
    for i in range(6):
        reading = Reading(await both[i % 2].start(ALICE, send(f"chat-{i}", HELLO)))
        run = await script.next()
        run.open()
        sent.append((reading, run))
    await asyncio.sleep(FAST.leases.lease_s)  # each would take over what it finds expired
    set_clock(raw_redis, by_s)
    for _ in range(15):
        for _, run in sent:
            run.tell("on ")
        await asyncio.sleep(FAST.leases.tick_s)

    for reading, run in sent:
        run.end()
        assert types(await reading.end())[-2:] == ["finish-step", "finish"]


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
async def test_orphan_is_closed_though_the_clock_has_jumped(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    raw_redis: redis.Redis,
    by_s: int,
) -> None:
    """A lease that was given before the clock went back seems to run for an hour."""
    survivor = await gateways()
    async with mortal(redis_url, script) as (doomed, store):
        sent = Reading(await doomed.start(ALICE, send("chat", HELLO)))
        await script.next()
        reader = await survivor.resume(ALICE, SessionId("chat"))
        assert reader is not None
        store.dead = True
        set_clock(raw_redis, by_s)
    sent.task.cancel()

    assert types(await Reading(reader).end())[-2:] == ["error", "finish"]


async def test_take_over_is_refused_by_a_clock_that_has_just_jumped(
    settable_store: RedisStore, raw_redis: redis.Redis
) -> None:
    """It would be the first to see that the lease has ended; but it was given a moment ago."""
    await opened(settable_store, submit(lease_ms=30_000))
    assert await settable_store.expired_leases(10) == []
    set_clock(raw_redis, HOUR_S)

    assert await settable_store.take_over(SESSION, RunId("r1"), HOUR_MS) is None
    assert await settable_store.expired_leases(10) == []


async def test_lease_of_before_the_clock_went_back_ends_by_ours(
    settable_store: RedisStore, raw_redis: redis.Redis
) -> None:
    """By Redis's clock it runs for an hour, or for two of its kind; whoever takes it over finds it
    as it was."""
    lease_ms = 500
    for session, back_s in (("an hour", HOUR_S), ("a lease", 1)):
        await opened(settable_store, submit(session=SessionId(session), lease_ms=lease_ms))
        assert await settable_store.expired_leases(10, longest_ms=lease_ms) == []
        set_clock(raw_redis, -back_s)
        async with asyncio.timeout(30):
            while not await settable_store.expired_leases(10, longest_ms=lease_ms):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        taken = await settable_store.take_over(SessionId(session), RunId("r1"), HOUR_MS)
        assert taken is not None
        set_clock(raw_redis, 0)


async def test_renewed_lease_is_not_the_one_that_was_seen_to_end(
    settable_store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A gateway that saw the lease end does not take the renewed one.

    Both end at the same time by a clock that went back.
    """
    await opened(settable_store, submit(lease_ms=EXPIRED))
    assert await settable_store.expired_leases(10) == [(SESSION, "r1")]
    lease = raw_redis.hget(f"ms:{{{SESSION}}}:meta", "lease")
    await settable_store.renew([key()], HOUR_MS)
    raw_redis.hset(f"ms:{{{SESSION}}}:meta", "lease", lease)

    assert await settable_store.take_over(SESSION, RunId("r1"), HOUR_MS) is None
    assert await settable_store.expired_leases(10) == []


async def test_presence_of_before_the_clock_went_back_runs_out(
    settable_store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Present processes announce themselves again; others would seem present for an hour."""
    await settable_store.announce(SESSION, "p", ALICE.user, tabs=1, lifetime_ms=10_000)
    set_clock(raw_redis, -HOUR_S)

    assert bytes(await settable_store.presence(SESSION, lifetime_ms=10_000)) == b"[]"


async def test_stop_of_before_the_clock_went_back_stops_no_later_send(
    settable_store: RedisStore, raw_redis: redis.Redis
) -> None:
    """It was left for a send that was on its way, not for those of the next hour."""
    await settable_store.request_stop(
        SESSION, run_id=None, message_id=submit().run.user_message_id, by="ada", tombstone_ms=10_000
    )
    set_clock(raw_redis, -HOUR_S)

    assert not (await opened(settable_store)).stop_requested
