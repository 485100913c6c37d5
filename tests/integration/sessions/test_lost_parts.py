"""A session of which Redis has lost a part is lost as a whole, and says so.

A Redis with an eviction policy takes single keys. Every subset of a session's keys is one row: what
is left of it is never shown as an empty history, never an error of ours, and never an answer that
somebody waits for without end.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.errors import NotRecoveredError, SessionNotFoundError
from midstream.ids import RunId, SessionId
from midstream.protocol.position import Position
from midstream.sessions.types import FeedEvent
from tests.support.played import ALICE, Reading, Script, send, types, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import redis

    from midstream.sessions.log.followers import FeedFollower
    from midstream.sessions.service import Sessions
    from midstream.sessions.types import Snapshot

pytestmark = pytest.mark.anyio

PARTS = ("meta", "log", "runs", "msg")
SUBSETS = [
    subset for size in range(1, len(PARTS)) for subset in itertools.combinations(PARTS, size)
]
WHOLE = [*SUBSETS, PARTS]
"""With the one of which nothing is left: that is a session that does not exist."""


def evict(raw_redis: redis.Redis, session: str, parts: tuple[str, ...]) -> None:
    """Take these keys, as Redis does."""
    raw_redis.delete(*(f"ms:{{{session}}}:{part}" for part in parts))


def left_of(raw_redis: redis.Redis, session: str) -> set[bytes]:
    """Return the keys that hold messages or their authors."""
    return {key for part in PARTS if raw_redis.exists(key := f"ms:{{{session}}}:{part}".encode())}


async def answered(at: Sessions, script: Script, session: str) -> Snapshot:
    """Have a message answered."""
    sent = Reading(await at.start(ALICE, send(session, user_message("u1", "hello"))))
    run = await script.next()
    run.open()
    run.tell("an answer")
    run.end()
    await sent.end()
    return await at.snapshot(ALICE, SessionId(session))


async def events(reader: FeedFollower) -> AsyncIterator[FeedEvent]:
    """Yield a follower's events, except heartbeats and presence."""
    async for item in reader:
        if isinstance(item, FeedEvent) and item.event != "presence":
            yield item


@asynccontextmanager
async def following(
    at: Sessions, session: str, after: Position | None
) -> AsyncIterator[AsyncIterator[FeedEvent]]:
    """Follow a session for the length of a block."""
    async with await at.follow(ALICE, SessionId(session), after, tabs=0) as reader:
        yield events(reader)


async def test_session_that_lacks_a_part_is_one_that_does_not_exist(
    sessions: Sessions, script: Script, raw_redis: redis.Redis, subtests: pytest.Subtests
) -> None:
    """The first look finds nothing and cleans up; the next send begins the session anew."""
    for parts in WHOLE:
        with subtests.test("+".join(parts)):
            session = SessionId("quiet-" + "-".join(parts))
            before = await answered(sessions, script, session)
            evict(raw_redis, session, parts)

            with pytest.raises(SessionNotFoundError):
                await sessions.snapshot(ALICE, session)
            assert left_of(raw_redis, session) == set()
            assert await sessions.resume(ALICE, session) is None
            with pytest.raises(NotRecoveredError):
                await sessions.resume(ALICE, session, run_id=RunId(before.runs[0].id), after=1)
            assert (await answered(sessions, script, session)).epoch != before.epoch


async def test_every_door_of_a_session_that_lacks_a_part_finds_it_gone(
    sessions: Sessions, script: Script, raw_redis: redis.Redis, subtests: pytest.Subtests
) -> None:
    """Also one that is not told what there is: a send, a stop, an erasure, a deletion, a claim."""
    doors: dict[str, Callable[[SessionId], Awaitable[object]]] = {
        "resume": lambda at: sessions.resume(ALICE, at),
        "stop": lambda at: sessions.stop(ALICE, at),
        "erase": lambda at: sessions.erase(ALICE, at),
        "delete": lambda at: sessions.delete(ALICE, at, None),
        "send": lambda at: answered(sessions, script, at),
    }
    for name, door in doors.items():
        for parts in SUBSETS:
            with subtests.test(f"{name} without {'+'.join(parts)}"):
                session = SessionId(f"{name}-{'-'.join(parts)}")
                before = await answered(sessions, script, session)
                evict(raw_redis, session, parts)
                try:
                    found = await door(session)
                except SessionNotFoundError:
                    found = None
                if name == "send":
                    assert (await sessions.snapshot(ALICE, session)).epoch != before.epoch
                else:
                    assert found in (None, [])
                    assert left_of(raw_redis, session) == set()


async def test_lost_session_is_in_no_list(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """It would be listed until somebody opens it."""
    for parts in SUBSETS:
        session = "listed-" + "-".join(parts)
        await answered(sessions, script, session)
        evict(raw_redis, session, parts)
    await answered(sessions, script, "whole")

    listed = await sessions.list_sessions(ALICE, limit=50, before_ms=None)
    assert [meta.id for meta in listed] == ["whole"]


async def test_answer_of_a_session_that_lacks_a_part_ends_for_all_its_readers(
    sessions: Sessions,
    other: Sessions,
    script: Script,
    raw_redis: redis.Redis,
    subtests: pytest.Subtests,
) -> None:
    """The sender and a reader of another gateway get an error, and the agent is stopped.

    A follower learns that the session is lost, and then that there is none.
    """
    for parts in WHOLE:
        with subtests.test("+".join(parts)):
            session = SessionId("busy-" + "-".join(parts))
            sent = Reading(await sessions.start(ALICE, send(session, user_message("u1", "hi"))))
            run = await script.next()
            run.open()
            run.tell("so far")
            await sent.until(lambda r: r.text == "so far")
            reader = await other.resume(ALICE, session)
            assert reader is not None
            elsewhere = Reading(reader)
            await elsewhere.until(lambda r: r.text == "so far")
            async with following(other, session, None) as told, asyncio.timeout(30):
                assert (await anext(told)).event == "snapshot"
                evict(raw_redis, session, parts)
                run.tell("more")
                gone = [event async for event in _until_nothing(told)]

            for seen in (sent, elsewhere):
                assert types(await seen.end())[-2:] == ["error", "finish"]
            await asyncio.wait_for(run.ended.wait(), 30)
            assert run.cancelled
            assert [event.event for event in gone][-2:] == ["lost", "snapshot"]
            assert left_of(raw_redis, session) == set()


async def _until_nothing(told: AsyncIterator[FeedEvent]) -> AsyncIterator[FeedEvent]:
    """Yield events up to the snapshot of a session that is not there."""
    async for event in told:
        yield event
        if event.event == "snapshot":
            assert msgspec.json.decode(event.data)["epoch"] == ""
            return


async def test_follower_that_comes_back_is_told_that_its_session_was_lost(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """By the snapshot of what there is: nothing, or a session that has begun anew."""
    before = await answered(sessions, script, "chat")
    position = Position(before.epoch, before.offset)
    evict(raw_redis, "chat", ("msg",))
    async with following(sessions, "chat", position) as told:
        assert msgspec.json.decode((await anext(told)).data)["epoch"] == ""
    after = await answered(sessions, script, "chat")
    async with following(sessions, "chat", position) as told:
        assert msgspec.json.decode((await anext(told)).data)["epoch"] == after.epoch


async def test_chunks_are_not_stored_in_a_log_that_was_evicted(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """A log that begins in the middle would be read as one that was trimmed."""
    sent = Reading(await sessions.start(ALICE, send("chat", user_message("u1", "hi"))))
    run = await script.next()
    run.open()
    run.tell("so far")
    await sent.until(lambda r: r.text == "so far")
    evict(raw_redis, "chat", ("log",))
    run.tell("more")
    chunks = await sent.end()

    assert types(chunks)[-2:] == ["error", "finish"]
    assert not raw_redis.exists("ms:{chat}:log")
    assert sent.text == "so far", "what is not stored is not shown"
