"""Runs whose worker is silent and whose job is tried again: nobody waits without words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from midstream.ids import SessionId
from midstream.sessions.types import Attempt, Idle, PushedEnd
from midstream.store.calls import RunKey
from midstream.store.keys import Keys
from midstream.store.records import RunOutcome
from tests.support.played import ALICE, Reading, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    import redis

    from midstream.sessions.service import Sessions
    from midstream.sessions.types import PushedRun

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
JOB = send(S, user_message("u1", "hello"), request_key="job-1")
OPENING = [b'{"type":"start-step"}', b'{"type":"text-start","id":"t"}']
PATIENT = Attempt(patience_ms=600_000)


def delta(text: str) -> bytes:
    return msgspec.json.encode({"type": "text-delta", "id": "t", "delta": text})


def key_of(run: PushedRun) -> RunKey:
    return RunKey(session_id=S, run_id=run.run.id, fence=run.fence)


async def begun(sessions: Sessions) -> PushedRun:
    """A run that has said a word, and whose worker is heard of no more."""
    run = await sessions.pushed.claim(ALICE, JOB, "worker", PATIENT)
    await sessions.pushed.append(ALICE, key_of(run), 1, [*OPENING, delta("One ")])
    return run


def fall_silent(redis: redis.Redis) -> None:
    """Let the worker's last renewal be longer ago than an ordinary lease."""
    redis.hset(Keys().session(S).meta, "within", 1)


def notes(reading: Reading) -> list[str]:
    """The codes of what the reader was told beside the run."""
    told: list[Any] = [c["data"] for c in reading.chunks if c["type"] == "data-status"]
    return [data["code"] for data in told]


async def test_readers_are_told_until_the_next_attempt_writes_on(
    sessions: Sessions, other: Sessions, raw_redis: redis.Redis
) -> None:
    """At any gateway; the message is exact."""
    await begun(sessions)
    readings = [Reading(r) for s in (sessions, other) if (r := await s.resume(ALICE, S))]
    fall_silent(raw_redis)
    for reading in readings:
        await reading.until(lambda r: notes(r) == ["awaits_attempt"])
    assert (await other.snapshot(ALICE, S)).runs[0].silent

    again = await other.pushed.claim(ALICE, JOB, "worker", PATIENT)
    await other.pushed.append(ALICE, key_of(again), again.next, [delta("two.")])
    for reading in readings:
        await reading.until(lambda r: notes(r) == ["awaits_attempt", "attempt_began"])
    end = PushedEnd(first=again.next + 1, outcome="finished", finish_reason="stop")
    await other.pushed.end(ALICE, key_of(again), end)
    for reading in readings:
        await reading.end()
        assert reading.text == "One two."


async def test_followers_of_the_session_see_the_run_as_silent(
    sessions: Sessions, raw_redis: redis.Redis
) -> None:
    """And no longer as soon as it is written on, before its words."""
    run = await begun(sessions)
    fall_silent(raw_redis)
    seen: list[Any] = []
    async with await sessions.follow(ALICE, S, None) as follower:
        async for event in follower:
            if isinstance(event, Idle):
                continue
            data = msgspec.json.decode(event.data)
            if event.event == "snapshot":
                assert data["runs"][0]["silent"]
            elif event.event == "run":
                seen.append(data.get("silent", False))
                assert event.position is None
                if seen == [True]:
                    await sessions.pushed.append(ALICE, key_of(run), 4, [delta("two.")])
            if seen == [True, False]:
                break


async def test_stop_of_a_silent_run_ends_it_at_once(
    sessions: Sessions, raw_redis: redis.Redis
) -> None:
    """What was written stays; nobody waits for the end of its lease."""
    run = await begun(sessions)
    fall_silent(raw_redis)
    assert await sessions.stop(ALICE, S) == [run.run.id]
    snapshot = await sessions.snapshot(ALICE, S)
    assert snapshot.runs[0].outcome is RunOutcome.STOPPED
    assert b"One " in bytes(snapshot.messages[-1])


async def test_claim_may_not_ask_for_a_longer_lease_than_the_setting(
    sessions: Sessions, raw_redis: redis.Redis
) -> None:
    """It gets the longest one there is."""
    await sessions.pushed.claim(ALICE, JOB, "worker", Attempt(patience_ms=10**12))

    def term() -> int:
        return int(raw_redis.hget(Keys().session(S).meta, "term") or 0)

    await eventually(lambda: term() == 3_600_000, "the lease is an hour long")
