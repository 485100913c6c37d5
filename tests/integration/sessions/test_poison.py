"""One run's bad record, agent or key harms no other run, and no process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast
from unittest.mock import AsyncMock

import pytest
from msgspec import Raw

from midstream.agents.base import AgentTraits
from midstream.ids import RunId, SessionId
from midstream.protocol.chunks import (
    StartStepChunk,
    TextDeltaChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
)
from midstream.sessions import open_sessions
from midstream.sessions.containment import TRIES
from midstream.store.calls import AppendBatch
from midstream.store.records import ChunksRecord, RunOutcome
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, FAST, Played, Reading, Script, send, types, user_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import redis

    from midstream.agents.base import DurableRuns
    from midstream.sessions.service import Sessions
    from midstream.sessions.types import Snapshot
    from midstream.store.calls import RunKey

pytestmark = pytest.mark.anyio

HEALTHY = 50
MINUTES_MS = 600_000


async def started(at: Sessions, script: Script, session: str) -> tuple[Reading, Played]:
    """Send; return the answer's reader and its run."""
    reading = Reading(await at.start(ALICE, send(session, user_message("u1", "hello"))))
    return reading, await script.next()


async def unread(at: Sessions, script: Script, session: str) -> Played:
    """Send, and leave; return who writes the answer."""
    async with await at.start(ALICE, send(session, user_message("u1", "hello"))):
        return await script.next()


async def until_ended(at: Sessions, session: str) -> Snapshot:
    """Wait until a session's run has ended, and return the session."""
    async with asyncio.timeout(30):
        while True:
            snapshot = await at.snapshot(ALICE, SessionId(session))
            if snapshot.runs[0].outcome is not None:
                return snapshot
            await asyncio.sleep(0.05)


async def left_behind(
    redis_url: str, script: Script, session: str, payload: bytes, *, continues: bool = False
) -> None:
    """Leave an open run whose process has died, with a record in its log that says `payload`."""
    async with RedisStore.connect(redis_url) as store:
        async with open_sessions(store, script, FAST) as doomed:
            reading, run = await started(doomed, script, session)
            run.open()
            run.tell("so far")
            await reading.until(lambda r: r.text == "so far")
            key = next(iter(doomed.shutdown.runs.active())).key  # as its process knew it
            reading.task.cancel()
        await store.append([AppendBatch(key=key, chunks=record(key, 4, payload))])


def record(key: RunKey, first: int, payload: bytes) -> ChunksRecord:
    """Return a record of a run's chunks."""
    return ChunksRecord(
        run_id=key.run_id, first=first, count=payload.count(b"\n"), level=5, payload=payload
    )


def poison_keys(raw_redis: redis.Redis) -> None:
    """Put foreign values where a reaper, a trim and a presence will meet them."""
    for name in ("orphaned", "trimmed"):
        for key in ("meta", "log", "here"):
            raw_redis.set(f"ms:{{{name}}}:{key}", "not ours", px=MINUTES_MS)
    raw_redis.zadd("ms:leases", {"orphaned|run_1": 1})
    raw_redis.zadd("ms:trim", {"trimmed": 1})
    raw_redis.pexpire("ms:trim", MINUTES_MS)


async def test_poison_beside_healthy_runs_on_two_gateways_harms_none_of_them(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    raw_redis: redis.Redis,
) -> None:
    """Agents that say what is no chunk, runs whose log cannot be read and keys with foreign values
    cost themselves alone; each such run is closed with an error and what can be read."""
    both = await gateways(), await gateways()
    healthy = [await started(both[i % 2], script, f"healthy-{i}") for i in range(HEALTHY)]
    for _, run in healthy:
        run.open()
        run.tell("before ")
    poison_keys(raw_redis)
    async with both[0].presence.open(SessionId("orphaned"), ALICE.user):
        for at in both:
            run = await unread(at, script, f"typed-{both.index(at)}")
            run.say(StartStepChunk(), TextStartChunk(id="t"), bad_delta("t"))
            run.end()
            run = await unread(at, script, f"raw-{both.index(at)}")
            call = ToolInputAvailableChunk(tool_call_id="c", tool_name="t", input=Raw(b"nonsense"))
            run.say(StartStepChunk(), call)
            run.end()
        await left_behind(
            redis_url, script, "left", b'{"type":"text-delta","id":"t","delta":21}\nnonsense\n'
        )
        for session in ("typed-0", "typed-1", "raw-0", "raw-1", "left"):
            snapshot = await until_ended(both[0], session)
            assert snapshot.runs[0].outcome in (RunOutcome.FAILED, RunOutcome.INTERRUPTED), session
        for _, run in healthy:
            run.tell("after")
            run.end()
        ends = [await reading.end() for reading, _ in healthy]

    assert all(types(chunks)[-2:] == ["finish-step", "finish"] for chunks in ends)
    assert {reading.text for reading, _ in healthy} == {"before after"}
    left = await both[0].snapshot(ALICE, SessionId("left"))
    assert b"so far" in bytes(left.messages[-1])


def bad_delta(part: str) -> TextDeltaChunk:
    """Return a chunk as an agent without a type checker makes it."""
    return TextDeltaChunk(id=part, delta=cast("str", 21))


async def test_session_with_an_unreadable_run_goes_on_with_the_next_send(
    sessions: Sessions, script: Script, redis_url: str
) -> None:
    """The readable part is kept, the person reads an error, and a send opens the next run."""
    await left_behind(redis_url, script, "chat-1", b"\xff\n")
    reader = await sessions.resume(ALICE, SessionId("chat-1"))
    assert reader is not None
    chunks = await Reading(reader).end()
    await until_ended(sessions, "chat-1")
    again = Reading(await sessions.start(ALICE, send("chat-1", user_message("u2", "and now?"))))
    run = await script.next()
    run.open()
    run.tell("well")
    run.end()

    assert types(chunks)[-2:] == ["error", "finish"]
    assert types(await again.end())[-1] == "finish"
    assert len(run.request.history) == 3


LAST = {
    "finished": b'{"type":"finish-step"}\n{"type":"finish"}\n',
    "stopped": b'{"type":"abort"}\n{"type":"finish"}\n',
    "failed": b'{"type":"error","errorText":"no"}\n{"type":"finish"}\n',
}
"""Outcome of a run, by the last chunks of its log."""


async def test_run_whose_log_has_its_end_is_closed_as_that_says(
    sessions: Sessions, script: Script, redis_url: str, subtests: pytest.Subtests
) -> None:
    """Only its state is missing.

    No process resumes it, nothing is appended, and the next send opens a run.
    """
    script.traits = AgentTraits(durable=cast("DurableRuns", AsyncMock()))
    for session, payload in LAST.items():
        end = b'{"type":"text-end","id":"t"}\n' + payload
        await left_behind(redis_url, script, session, end)
    for outcome in LAST:
        with subtests.test(outcome):
            reader = await sessions.resume(ALICE, SessionId(outcome), after=-1)
            assert reader is not None
            chunks = await Reading(reader).end()
            snapshot = await until_ended(sessions, outcome)
            again = Reading(await sessions.start(ALICE, send(outcome, user_message("u2", "more"))))
            (await script.next()).finish()

            assert snapshot.runs[0].outcome == outcome
            assert types(chunks).count("finish") == 1
            assert types(await again.end())[-1] == "finish"


async def test_reaper_leaves_a_run_alone_that_cannot_be_closed(
    redis_url: str,
    raw_redis: redis.Redis,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a few tries it is passed over, even while its hint is due."""
    monkeypatch.setattr("midstream.sessions.containment.FIRST_DELAY_S", 0.0)
    raw_redis.set("ms:{bad}:meta", "not ours", px=MINUTES_MS)
    raw_redis.zadd("ms:leases", {"bad|run_1": 1})
    raw_redis.pexpire("ms:leases", MINUTES_MS)
    tries: list[RunId] = []
    ticks_after = asyncio.Semaphore(0)

    async with RedisStore.connect(redis_url) as store:
        take_over, expired_leases = store.take_over, store.expired_leases

        async def take_over_watched(session_id, run_id, lease_ms, *, force=False):  # type: ignore[no-untyped-def]
            tries.append(run_id)
            return await take_over(session_id, run_id, lease_ms, force=force)

        async def expired_leases_watched(limit, *, longest_ms=None):  # type: ignore[no-untyped-def]
            if len(tries) >= TRIES:
                ticks_after.release()
            return await expired_leases(limit, longest_ms=longest_ms)

        monkeypatch.setattr(store, "take_over", take_over_watched)
        monkeypatch.setattr(store, "expired_leases", expired_leases_watched)
        async with open_sessions(store, script, FAST), asyncio.timeout(30):
            for _ in range(3):
                await ticks_after.acquire()

    assert tries == ["run_1"] * TRIES
    assert raw_redis.zcard("ms:leases") == 1
