"""A gateway of a version to come beside this one: nothing erased, nothing torn, readers go on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from midstream.errors import UpgradeNeededError
from midstream.ids import MessageId, SessionId
from midstream.sessions import open_sessions
from midstream.sessions.failover import reaper
from midstream.sessions.types import FeedEvent, PushedEnd
from midstream.store.calls import RunKey
from midstream.store.records import RunOutcome
from midstream.store.redis.store import RedisStore
from tests.integration.sessions.test_resume import DurableScript
from tests.integration.sessions.test_several_gateways import mortal
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually
from tests.support.version_to_come import StoreToCome, VersionToCome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import redis

    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")
CONTROL = SessionId("chat-2")
HELLO = user_message("u1", "hello")
MORE = user_message("u2", "more")
STEP = b'{"type":"start-step"}'
OPEN = b'{"type":"text-start","id":"t"}'


class Following:
    """A follower of a session's feed, in a task."""

    def __init__(self) -> None:
        self.events: list[FeedEvent] = []

    @property
    def names(self) -> list[str]:
        """The follower's events, without presence."""
        return [event.event for event in self.events if event.event != "presence"]

    async def until(self, *last: str) -> None:
        """Wait until these came last."""
        await eventually(lambda: self.names[-len(last) :] == [*last], f"the feed says {last}")


@asynccontextmanager
async def following(sessions: Sessions, session_id: SessionId) -> AsyncIterator[Following]:
    """Follow a session beside the block."""
    seen = Following()

    async def follow() -> None:
        async with await sessions.follow(ALICE, session_id, None) as reader:
            async for event in reader:
                if isinstance(event, FeedEvent):
                    seen.events.append(event)

    task = asyncio.create_task(follow(), name="follower")
    try:
        await eventually(lambda: bool(seen.events), "the feed begins")
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def gateway_to_come(redis_url: str, script: Script) -> AsyncIterator[Sessions]:
    """A gateway that writes the next format."""
    async with (
        StoreToCome.connect(redis_url) as store,
        open_sessions(store, script, FAST) as sessions,
    ):
        yield sessions


@pytest.fixture
def newer(raw_redis: redis.Redis) -> VersionToCome:
    """A newer gateway's writes into the session."""
    return VersionToCome(raw_redis, S)


async def resumed(sessions: Sessions, session_id: SessionId = S, **where: Any) -> Reading:
    reader = await sessions.resume(ALICE, session_id, **where)
    assert reader is not None
    return Reading(reader)


def without_ids(chunks: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in chunk.items() if k != "messageId"} for chunk in chunks]


def kept_of(event: FeedEvent) -> object:
    """Return an event without ids and times."""
    said = msgspec.json.decode(event.data)
    if event.event == "chunks":
        return [chunk["type"] for chunk in said["chunks"]]
    return said.get("state"), said.get("outcome"), event.event


async def test_unknown_records_in_a_run_change_nothing_for_anybody(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, newer: VersionToCome
) -> None:
    """Each reader sees the same as in a run without them.

    Here and elsewhere, late or reconnected; the followers and the final message, too.
    """
    here, there = await gateways(), await gateways()
    told: dict[SessionId, tuple[object, ...]] = {}
    adding: dict[SessionId, Callable[[], None]] = {S: newer.add_record, CONTROL: lambda: None}
    for session_id, add in adding.items():
        async with following(there, session_id) as feed:
            sent = Reading(await here.start(ALICE, send(session_id, HELLO)))
            run = await script.next()
            add()
            run.open()
            for text in "abc":
                run.tell(text)
                await sent.until(lambda r, t=text: r.text.endswith(t))  # type: ignore[misc]
                add()
            late = await resumed(there, session_id)
            await late.until(lambda r: r.text == "abc")
            # An end that came before it would be in the snapshot of the new session.
            await eventually(lambda: feed.names.count("snapshot") == 2, "the feed has the run")
            add()
            run.tell("d")
            run.end()
            chunks = await sent.end()
            assert (await late.end())[-4:] == chunks[-4:]
            await eventually(lambda: feed.names[-2:] == ["message", "run"], "the feed has it all")
            add()
            again = await (await resumed(there, session_id, after=2)).end()
            assert again == chunks[3:]
            snapshot = await there.snapshot(ALICE, session_id)
            answer = msgspec.json.decode(snapshot.messages[-1])
            events = [kept_of(e) for e in feed.events if e.event in {"message", "run"}]
            told[session_id] = (
                without_ids(chunks), without_ids(again), events, answer["parts"],
                snapshot.runs[0].outcome, set(feed.names),
            )  # fmt: skip
    assert told[S] == told[CONTROL]
    again_sent = Reading(await there.start(ALICE, send(S, HELLO, MORE)))
    (await script.next()).end()
    assert types(await again_sent.end())[-1] == "finish"


async def test_orphan_with_unknown_records_is_closed_with_what_was_said(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    newer: VersionToCome,
) -> None:
    survivor = await gateways()
    async with mortal(redis_url, script) as (doomed, store):
        await doomed.start(ALICE, send(S, HELLO))
        run = await script.next()
        newer.add_record()
        run.open()
        run.tell("so ")
        watching = await resumed(survivor)
        await watching.until(lambda r: r.text == "so ")
        newer.add_record()
        run.tell("far")
        await watching.until(lambda r: r.text == "so far")
        newer.add_record()
        store.dead = True
        assert types(await watching.end())[-3:] == ["text-end", "error", "finish"]
    kept = await survivor.snapshot(ALICE, S)
    assert kept.runs[0].outcome is RunOutcome.INTERRUPTED
    assert b"so far" in bytes(kept.messages[1])


async def test_pushed_run_goes_on_over_unknown_records(
    gateways: Callable[[], Awaitable[Sessions]], newer: VersionToCome
) -> None:
    """On a gateway that reads it from the log."""
    here, there = await gateways(), await gateways()
    run = await here.pushed.claim(ALICE, send(S, HELLO, request_key="job"), "worker")
    key = RunKey(session_id=S, run_id=run.run.id, fence=run.fence)
    newer.add_record()
    await here.pushed.append(ALICE, key, 1, [STEP, OPEN])
    newer.add_record()
    said = await there.pushed.append(
        ALICE, key, 3, [b'{"type":"text-delta","id":"t","delta":"Hi"}']
    )
    newer.add_record()
    ended = await here.pushed.end(ALICE, key, PushedEnd(first=said.next, outcome="finished"))

    assert ended.next > said.next
    kept = await there.snapshot(ALICE, S)
    assert b'"text":"Hi"' in bytes(kept.messages[1]).replace(b" ", b"")
    assert kept.runs[0].outcome is RunOutcome.FINISHED


async def test_fields_of_a_version_to_come_outlast_what_this_one_writes(
    sessions: Sessions, script: Script, newer: VersionToCome, raw_redis: redis.Redis
) -> None:
    """In the session's facts and in its run's info; all that is done here works beside them."""
    sent = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    newer.add_field()
    info = raw_redis.hget(newer.keys.meta, "info")
    assert isinstance(info, bytes)
    raw_redis.hset(newer.keys.meta, "info", info[:-1] + b',"lane":"side"}')
    run.open()
    run.tell("Hi")
    await sent.until(lambda r: r.text == "Hi")
    await sessions.stop(ALICE, S)

    assert types(await sent.end())[-2:] == ["abort", "finish"]
    kept = raw_redis.hget(newer.keys.runs, sent.run_id)
    assert isinstance(kept, bytes)
    assert kept.endswith(b',"lane":"side"}')
    assert raw_redis.hget(newer.keys.meta, "tomorrow") == b"x\ny"
    assert (await sessions.snapshot(ALICE, S)).runs[0].outcome is RunOutcome.STOPPED


async def test_run_in_an_unknown_state_is_shown_as_it_is_and_left_alone(
    sessions: Sessions, script: Script, newer: VersionToCome
) -> None:
    """It is under way: no orphan, whatever its lease; readers wait; a newer gateway ends it."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    await reading.until(lambda r: bool(r.chunks))
    async with following(sessions, S) as feed:
        newer.raise_format()
        newer.set_run("pondering", waitsFor="approval")
        await feed.until("run")
        await asyncio.wait_for(run.ended.wait(), 30)
        before = newer.dump()

        told = [msgspec.json.decode(e.data) for e in feed.events if e.event == "run"]
        (shown,) = (await sessions.snapshot(ALICE, S)).runs
        joined = await resumed(sessions)
        await joined.until(lambda r: r.heartbeats > 3)
        assert (told[-1]["state"], shown.state) == ("pondering", "pondering")
        assert newer.dump() == before
    newer.set_run("ended")
    assert types(await reading.end()) == types(await joined.end()) == ["start"]


async def test_run_of_ours_in_a_session_of_a_newer_format_is_left_whole_to_newer_gateways(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    newer: VersionToCome,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of it is written here any more; its readers, here too, see the end that a newer
    gateway gives it, after all that was said; other sessions notice nothing."""
    here = await gateways()
    other = Reading(await here.start(ALICE, send(CONTROL, HELLO)))
    other_run = await script.next()
    other_run.open()
    async with following(here, S) as feed:
        sent = Reading(await here.start(ALICE, send(S, HELLO)))
        run = await script.next()
        run.open()
        run.tell("so far")
        await sent.until(lambda r: r.text == "so far")
        newer.raise_format()
        before = newer.dump()
        with caplog.at_level(logging.WARNING):
            run.tell(" and no further")
            await asyncio.wait_for(run.ended.wait(), 30)
        assert run.cancelled
        joined = await resumed(here)
        await joined.until(lambda r: r.text == "so far")
        assert newer.dump() == before
        assert "status=newer" in caplog.text

        async with gateway_to_come(redis_url, script) as later:
            assert types(await sent.end())[-3:] == ["text-end", "error", "finish"]
            assert (sent.text, (await joined.end())[-3:]) == ("so far", sent.chunks[-3:])
            answered = Reading(await later.start(ALICE, send(S, HELLO, MORE)))
            (await script.next()).end()
            assert types(await answered.end())[-1] == "finish"
            kept = await here.snapshot(ALICE, S)
            assert len(kept.messages) >= 3
            await later.erase(ALICE, S)
            await feed.until("erased", "snapshot")
    other_run.tell("still here")
    other_run.end()
    assert types(await other.end())[-1] == "finish"
    assert other.text == "still here"


async def test_idle_run_of_ours_ends_by_its_renewal(
    sessions: Sessions, script: Script, newer: VersionToCome
) -> None:
    """Nothing need be said for its producer to notice."""
    await sessions.start(ALICE, send(S, HELLO))
    run = await script.next()
    newer.raise_format()
    await asyncio.wait_for(run.ended.wait(), 30)
    assert run.cancelled


async def test_point_of_a_run_in_a_newer_session_is_not_kept_here(
    redis_url: str, newer: VersionToCome
) -> None:
    """Nor is the run handed over, or what it holds elsewhere given up: a newer gateway needs it."""
    script = DurableScript()
    async with (
        RedisStore.connect(redis_url) as store,
        open_sessions(store, script, FAST) as sessions,
    ):
        await sessions.start(ALICE, send(S, HELLO))
        run = await script.next()
        memory = run.request.memory
        assert memory is not None
        await memory.remember(b"point")
        newer.raise_format()
        before = newer.dump()
        await memory.remember(b"later point")
        await asyncio.wait_for(run.ended.wait(), 30)
        await sessions.drain(1)

        assert (run.cancelled, script.abandoned) == (True, [])
        assert newer.dump() == before


CALLS: dict[str, Callable[[Sessions], Awaitable[object]]] = {
    "send": lambda s: s.start(ALICE, send(S, HELLO, MORE)),
    "interrupt": lambda s: s.start(ALICE, send(S, HELLO, MORE, on_active="interrupt")),
    "stop": lambda s: s.stop(ALICE, S),
    "prevent": lambda s: s.stop(ALICE, S, message_id=MessageId("u9")),
    "erase": lambda s: s.erase(ALICE, S),
    "claim": lambda s: s.pushed.claim(ALICE, send(S, MORE, request_key="j2"), "worker"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_what_would_change_a_newer_session_needs_an_upgrade(
    sessions: Sessions, script: Script, newer: VersionToCome, call: str
) -> None:
    """503, and the session is as it was; also its run, in a process of a newer version."""
    await sessions.start(ALICE, send(S, HELLO))
    run = await script.next()
    newer.raise_format()
    await asyncio.wait_for(run.ended.wait(), 30)
    before = newer.dump()

    with pytest.raises(UpgradeNeededError) as refused:
        await CALLS[call](sessions)
    error = refused.value
    assert (error.code, error.http_status, error.ws_close_code, error.temporary) == (
        "upgrade_needed", 503, 4000, True,
    )  # fmt: skip
    assert newer.dump() == before


async def test_worker_of_a_pushed_run_is_told_to_ask_a_newer_gateway(
    sessions: Sessions, newer: VersionToCome, script: Script, redis_url: str
) -> None:
    """Its chunks, renewal and end are refused here for a time, and taken there."""
    run = await sessions.pushed.claim(ALICE, send(S, HELLO, request_key="job"), "worker")
    key = RunKey(session_id=S, run_id=run.run.id, fence=run.fence)
    newer.raise_format()
    refused: list[Callable[[], Awaitable[object]]] = [
        lambda: sessions.pushed.append(ALICE, key, 1, [STEP]),
        lambda: sessions.pushed.append(ALICE, key, 0, [b'{"type":"start"}']),
        lambda: sessions.pushed.renew(ALICE, key, 0),
        lambda: sessions.pushed.end(ALICE, key, PushedEnd(first=1, outcome="finished")),
    ]
    for call in refused:
        with pytest.raises(UpgradeNeededError):
            await call()
    async with gateway_to_come(redis_url, script) as later:
        await later.pushed.append(ALICE, key, 1, [STEP])
        await later.pushed.end(ALICE, key, PushedEnd(first=2, outcome="finished"))
    assert (await sessions.snapshot(ALICE, S)).runs[0].outcome is RunOutcome.FINISHED


async def test_send_that_was_accepted_before_is_read_also_where_it_could_not_be_now(
    sessions: Sessions, script: Script, newer: VersionToCome
) -> None:
    """It is known by its key: that is reading."""
    request = send(S, HELLO, request_key="k")
    sent = Reading(await sessions.start(ALICE, request))
    run = await script.next()
    run.end()
    chunks = await sent.end()
    newer.raise_format()

    assert await Reading(await sessions.start(ALICE, request)).end() == chunks


async def test_orphans_of_newer_sessions_do_not_hide_ours_from_the_reaper(
    gateways: Callable[[], Awaitable[Sessions]],
    script: Script,
    redis_url: str,
    raw_redis: redis.Redis,
    newer: VersionToCome,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In any number; an unreadable one does not end the reaper, either.

    Each gateway logs each of them once, and leaves it to newer ones.
    """
    monkeypatch.setattr(reaper, "ORPHANS_A_TICK", 1)
    await gateways()
    newer.run("redis.call('HSET', META, 'run', 'old', 'state', 'open', 'lease', 1)")
    newer.raise_format()
    raw_redis.expire(newer.keys.meta, 60)
    broken = VersionToCome(raw_redis, SessionId("broken")).keys
    raw_redis.hset(broken.meta, mapping={"run": "r", "state": "open", "lease": 1, "next": 0})
    raw_redis.hset(broken.runs, "r", "no run at all")
    raw_redis.hset(broken.messages, "m", "no message at all")
    raw_redis.xadd(broken.log, {"p": "0-0", "r": "no record at all"})
    for name in (broken.meta, broken.runs, broken.messages, broken.log):
        raw_redis.expire(name, 60)
    raw_redis.zadd("ms:leases", {f"{S}|old": 1, "broken|r": 2})
    raw_redis.expire("ms:leases", 60)
    async with mortal(redis_url, script) as (doomed, store):
        await doomed.start(ALICE, send(CONTROL, HELLO))
        await script.next()
        watching = await resumed(await gateways(), CONTROL)
        store.dead = True
        assert types(await watching.end())[-2:] == ["error", "finish"]
    assert raw_redis.zscore("ms:leases", f"{S}|old") is not None
    assert 0 < caplog.text.count(f"upgrade_needed session={S}") <= 3
    assert 0 < caplog.text.count("contained at=reaper session=broken") <= 3
