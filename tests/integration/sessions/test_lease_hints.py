"""Every answer ends, also of a run that the reaper has no hint of: whoever meets it has it closed.

The hint of a lease is in another slot than its session: Redis may refuse it and take the run, or
evict it, or lose it in a failover.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.ids import SessionId
from midstream.store.records import RunOutcome
from tests.integration.sessions.test_several_gateways import mortal
from tests.support.played import ALICE, Reading, send, types, user_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import redis

    from midstream.sessions.service import Sessions
    from tests.support.played import Script

pytestmark = pytest.mark.anyio

HINT = "ms:leases"
HELLO = user_message("u1", "hello")
MINUTE_S = 60


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - what is awaited is in Redis
            await asyncio.sleep(0.05)


def refuse_hints(raw_redis: redis.Redis) -> None:
    """Have Redis refuse every hint of a lease, and nothing else."""
    raw_redis.set(HINT, "no hint", ex=MINUTE_S)


async def test_run_whose_hint_is_refused_is_answered_and_hinted_later(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """The send that opened it is not refused: nobody would produce its run. The hint is noted again
    with a renewal, so that the run is found should its process die."""
    refuse_hints(raw_redis)
    sent = Reading(await sessions.start(ALICE, send("chat", HELLO)))
    run = await script.next()
    run.open()
    run.tell("an answer")
    await sent.until(lambda r: r.text == "an answer")
    raw_redis.delete(HINT)

    async def is_hinted() -> bool:
        return raw_redis.zscore(HINT, f"chat|{sent.run_id}") is not None

    await until(is_hinted)
    run.end()
    assert types(await sent.end())[-1] == "finish"


async def test_stop_and_loss_are_noticed_by_a_renewal_whose_hint_is_refused(
    sessions: Sessions, other: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """A refused hint does not hide the state of the leases."""
    sent = Reading(await sessions.start(ALICE, send("chat", HELLO)))
    run = await script.next()
    run.open()
    refuse_hints(raw_redis)
    await asyncio.wait_for(other.stop(ALICE, SessionId("chat")), 30)
    assert types(await sent.end())[-2:] == ["abort", "finish"]

    gone = Reading(await sessions.start(ALICE, send("gone", HELLO)))
    run = await script.next()
    raw_redis.delete(*("ms:{gone}:" + part for part in ("meta", "log", "runs", "msg")))
    assert types(await gone.end())[-2:] == ["error", "finish"]
    await asyncio.wait_for(run.ended.wait(), 30)
    assert run.cancelled


async def _attached(at: Sessions, session: SessionId) -> Callable[[], Awaitable[object]]:
    """A reader of before the death waits on."""
    reader = await at.resume(ALICE, session)
    assert reader is not None
    reading = Reading(reader)
    return reading.end


async def _resumes(at: Sessions, session: SessionId) -> Callable[[], Awaitable[object]]:
    """A reader of after the death."""

    async def read() -> object:
        reader = await at.resume(ALICE, session)
        return None if reader is None else await Reading(reader).end()

    return read


async def _follows(at: Sessions, session: SessionId) -> Callable[[], Awaitable[object]]:
    """A tab that follows the session."""

    async def follow() -> None:
        async with await at.follow(ALICE, session, None, tabs=0) as reader:
            async for event in reader:
                if b'"state":"ended"' in getattr(event, "data", b""):
                    return

    return follow


async def _looks(at: Sessions, session: SessionId) -> Callable[[], Awaitable[object]]:
    """Somebody who loads the session now and again."""

    async def is_ended() -> bool:
        return (await at.snapshot(ALICE, session)).runs[0].outcome is not None

    return lambda: until(is_ended)


@pytest.mark.parametrize("meets", [_attached, _resumes, _follows, _looks])
async def test_orphan_without_a_hint_is_closed_by_whoever_meets_it(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    raw_redis: redis.Redis,
    meets: Callable[[Sessions, SessionId], Awaitable[Callable[[], Awaitable[object]]]],
) -> None:
    """One of these is enough: nothing else looks at the session."""
    survivor, session = await gateways(), SessionId("chat")
    async with mortal(redis_url, script) as (doomed, store):
        sent = Reading(await doomed.start(ALICE, send(session, HELLO)))
        run = await script.next()
        run.open()
        run.tell("so far")
        await sent.until(lambda r: r.text == "so far")
        meeting = await meets(survivor, session)
        store.dead = True
    sent.task.cancel()
    raw_redis.delete(HINT)
    await asyncio.wait_for(meeting(), 30)

    (ended,) = (await survivor.snapshot(ALICE, session)).runs
    assert ended.outcome is RunOutcome.INTERRUPTED
