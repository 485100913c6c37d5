"""Two gateways over one Redis behave as one, also when one of them dies."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec
import pytest

from midstream.errors import DrainingError, StoreUnavailableError
from midstream.ids import SessionId
from midstream.sessions import open_sessions
from midstream.sessions.types import FeedEvent
from midstream.store.records import RunOutcome
from midstream.store.redis.store import RedisStore
from tests.integration.store.scenario import hint_of
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from midstream.sessions.service import Sessions
    from midstream.store.redis.client import RedisClient
    from midstream.store.server.settings import StoreSettings

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")
HELLO = user_message("u1", "hello")

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


class DyingStore(RedisStore):
    """A store whose process can seem to die: its writes no longer arrive."""

    def __init__(self, client: RedisClient, aside: RedisClient, settings: StoreSettings) -> None:
        super().__init__(client, aside, settings)
        self.dead = False
        self.append = self._unless_dead(self.append)
        self.renew = self._unless_dead(self.renew)
        self.close_run = self._unless_dead(self.close_run)

    def _unless_dead(
        self, call: Callable[_Asked, Coroutine[Any, Any, _Answer]]
    ) -> Callable[_Asked, Coroutine[Any, Any, _Answer]]:
        async def called(*args: _Asked.args, **named: _Asked.kwargs) -> _Answer:
            if self.dead:
                raise StoreUnavailableError("played dead")
            return await call(*args, **named)

        return called


@asynccontextmanager
async def mortal(redis_url: str, script: Script) -> AsyncIterator[tuple[Sessions, DyingStore]]:
    """A gateway whose writes can be cut off."""
    async with (
        DyingStore.connect(redis_url) as store,
        open_sessions(store, script, FAST) as sessions,
    ):
        yield sessions, store


async def test_other_gateway_reads_resumes_and_stops(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """A reader on another gateway sees the run live, and a stop there ends it here."""
    here, there = await gateways(), await gateways()
    sent = Reading(await here.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("a", "b")
    await sent.until(lambda r: r.text == "ab")
    reader = await there.resume(ALICE, S)
    assert reader is not None
    watching = Reading(reader)
    run.tell("c")
    await watching.until(lambda r: r.text == "abc")
    await there.stop(ALICE, S)

    assert types(await watching.end())[-3:] == ["text-end", "abort", "finish"]
    assert types(await sent.end())[-3:] == ["text-end", "abort", "finish"]
    assert run.cancelled


async def test_resume_goes_on_after_a_chunk_that_this_gateway_has_not_heard_of(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another gateway has shown it, and the channel of this one is late, or was lost."""
    here, there = await gateways(), await gateways()
    sent = Reading(await here.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    behind = await there.resume(ALICE, S)
    assert behind is not None
    with monkeypatch.context() as cut_off:
        cut_off.setattr(there.shutdown.hub, "_receive", lambda *_: None)
        run.tell("a", "b")
        await sent.until(lambda r: r.text == "ab")
        last = len(sent.chunks) - 1
        reader = await there.resume(ALICE, S, run_id=sent.run_id, after=last)
    assert reader is not None
    watching = Reading(reader)
    run.tell("c")
    run.end()

    assert await watching.end() == (await sent.end())[last + 1 :]
    assert types(await Reading(behind).end())[-1] == "finish"


async def test_same_send_on_two_gateways_is_one_run(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """A send that is repeated elsewhere attaches to the run, from its first chunk."""
    here, there = await gateways(), await gateways()
    first = Reading(await here.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("a")
    second = Reading(await there.start(ALICE, send(S, HELLO)))
    run.end()

    assert await second.end() == await first.end()


async def test_orphan_is_closed_by_whoever_notices(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, redis_url: str
) -> None:
    """When a producer's process dies, another gateway closes the parts with an error.

    Then a new run can start, and late chunks of the dead producer are refused.
    """
    survivor = await gateways()
    async with mortal(redis_url, script) as (doomed, store):
        await doomed.start(ALICE, send(S, HELLO))
        run = await script.next()
        run.open()
        run.tell("so far")
        reader = await survivor.resume(ALICE, S)
        assert reader is not None
        watching = Reading(reader)
        await watching.until(lambda r: r.text == "so far")
        store.dead = True
        chunks = await watching.end()
        before = await survivor.snapshot(ALICE, S)
        run.tell("too late")
        store.dead = False
        await asyncio.wait_for(run.ended.wait(), 30)

    assert types(chunks)[-3:] == ["text-end", "error", "finish"]
    assert before.runs[0].outcome is RunOutcome.INTERRUPTED
    assert await survivor.snapshot(ALICE, S) == before
    again = Reading(await survivor.start(ALICE, send(S, HELLO)))
    (await script.next()).end()
    assert types(await again.end())[-1] == "finish"


async def test_draining_gateway_lets_its_run_finish_and_sends_others_readers_away(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """A drain waits for own runs, refuses new ones, and cuts readers of runs elsewhere."""
    here, there = await gateways(), await gateways()
    sent = Reading(await here.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    reader = await there.resume(ALICE, S)
    assert reader is not None
    cut = Reading(reader)
    await there.drain(5)
    with pytest.raises(DrainingError):
        await cut.end()
    with pytest.raises(DrainingError):
        await there.start(ALICE, send(SessionId("chat-2"), HELLO))
    draining = asyncio.create_task(here.drain(5))
    run.tell("the end")
    run.end()
    await draining
    assert sent.run_id
    assert types(await sent.end())[-1] == "finish"


async def test_drain_interrupts_what_does_not_finish(sessions: Sessions, script: Script) -> None:
    """After the limit a run ends with an error about the restart."""
    sent = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    await sent.until(lambda r: "text-start" in types(r.chunks))
    await sessions.drain(0.05)
    assert types(await sent.end())[-3:] == ["text-end", "error", "finish"]


async def test_feed_brings_other_tabs_everything(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """A follower on another gateway gets a snapshot, then messages, runs and chunks as they
    commit, and continues from a position."""
    here, there = await gateways(), await gateways()
    begun = Reading(await here.start(ALICE, send(S, HELLO)))
    (await script.next()).end()
    await begun.end()
    events: list[FeedEvent] = []
    following_since = asyncio.Event()

    async def follow() -> None:
        async with await there.follow(ALICE, S, None) as feed:
            async for event in feed:
                if isinstance(event, FeedEvent):
                    events.append(event)
                    following_since.set()
                    if event.event == "run" and b'"ended"' in event.data:
                        return

    following = asyncio.create_task(follow())
    await asyncio.wait_for(following_since.wait(), 30)
    sent = Reading(await here.start(ALICE, send(S, HELLO, user_message("u2", "more"))))
    run = await script.next()
    run.open()
    run.tell("hi")
    run.end()
    await sent.end()
    await asyncio.wait_for(following, 30)

    kinds = [event.event for event in events if event.position is not None][1:]
    assert events[0].event == "snapshot"
    assert kinds[:2] == ["message", "run"]
    assert kinds[-2:] == ["message", "run"]
    texts = [
        chunk["delta"]
        for event in events
        if event.event == "chunks"
        for chunk in msgspec.json.decode(event.data)["chunks"]
        if chunk["type"] == "text-delta"
    ]
    assert texts == ["hi"]
    logged = [event for event in events if event.position is not None]
    middle = len(logged) // 2
    assert await followed(there, logged[middle], until=logged[-1]) == logged[middle + 1 :]


async def followed(there: Sessions, after: FeedEvent, *, until: FeedEvent) -> list[FeedEvent]:
    """Return a follower's events of the log after one event, up to another."""
    found: list[FeedEvent] = []
    async with await there.follow(ALICE, S, after.position) as feed:
        async for item in feed:
            if isinstance(item, FeedEvent) and item.position is not None:
                found.append(item)
                if item.position == until.position:
                    break
    return found


async def test_feed_of_a_session_that_does_not_exist_yet_brings_it_when_it_begins(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """It is empty first, and a snapshot again once there is something."""
    here, there = await gateways(), await gateways()
    snapshots: asyncio.Queue[FeedEvent] = asyncio.Queue()

    async def follow() -> None:
        async with await there.follow(ALICE, S, None) as feed:
            async for event in feed:
                if isinstance(event, FeedEvent) and event.event == "snapshot":
                    snapshots.put_nowait(event)

    following = asyncio.create_task(follow())
    empty = await asyncio.wait_for(snapshots.get(), 30)
    await here.start(ALICE, send(S, HELLO))
    full = await asyncio.wait_for(snapshots.get(), 30)
    following.cancel()
    (await script.next()).end()

    assert (empty.position, msgspec.json.decode(empty.data)["messages"]) == (None, [])
    assert msgspec.json.decode(full.data)["messages"][0]["id"] == "u1"


class SeenPresence:
    """The presence events that followers of a session get."""

    def __init__(self, session: SessionId = S) -> None:
        self.session = session
        self.seen: list[list[int]] = []
        self._told = asyncio.Event()

    async def follow(self, gateway: Sessions, tabs: int = 1) -> None:
        """Follow until cancelled, for so many tabs."""
        async with await gateway.follow(ALICE, self.session, None, tabs=tabs) as feed:
            async for event in feed:
                if isinstance(event, FeedEvent) and event.event == "presence":
                    here = msgspec.json.decode(event.data)["here"]
                    self.seen.append([user["tabs"] for user in here])
                    self._told.set()

    async def until(self, tabs: list[int]) -> None:
        """Wait until the last event has so many tabs, by user."""
        async with asyncio.timeout(30):
            while self.seen[-1:] != [tabs]:
                self._told.clear()
                await self._told.wait()


async def test_presence_shows_who_has_the_session_open(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """Tabs are counted by user over all gateways, in the feed and the snapshot, and a closed
    one is gone; the log does not grow by it."""
    here, there = await gateways(), await gateways()
    sent = Reading(await here.start(ALICE, send(S, HELLO)))
    (await script.next()).end()
    await sent.end()
    before = await here.snapshot(ALICE, S)
    presence = SeenPresence()
    first = asyncio.create_task(presence.follow(here))
    await presence.until([1])
    second = asyncio.create_task(presence.follow(there))
    await presence.until([2])
    snapshot = await there.snapshot(ALICE, S)
    second.cancel()
    await presence.until([1])
    first.cancel()

    assert msgspec.json.decode(snapshot.presence)[0]["user"] == "alice"
    assert snapshot.offset == before.offset


async def test_presence_of_a_process_that_was_killed_is_withdrawn(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway that noticed the death withdraws it.

    Its tabs, which connect again, are not counted twice, in the session that it wrote for or in any
    other.
    """
    monkeypatch.setattr("midstream.store.redis.withdrawal.PAGE", 1)
    here = await gateways()
    with monkeypatch.context() as patch:
        patch.setattr("midstream.sessions.log.presence.os.getpid", lambda: 77)
        there = await gateways()
    sessions = [SessionId(f"{S}-{number}") for number in range(3)]
    followers, seen = [], []
    for session in sessions:
        sent = Reading(await here.start(ALICE, send(session, HELLO)))
        (await script.next()).end()
        await sent.end()
        seen.append(presence := SeenPresence(session))
        followers.append(asyncio.create_task(presence.follow(here)))
        followers.append(asyncio.create_task(SeenPresence(session).follow(there, tabs=2)))
    for presence in seen:
        await presence.until([3])
    await here.withdraw_presence(7)
    others = [await here.snapshot(ALICE, session) for session in sessions]
    await here.withdraw_presence(77)
    for presence in seen:
        await presence.until([1])
    for follower in followers:
        follower.cancel()

    assert [msgspec.json.decode(each.presence)[0]["tabs"] for each in others] == [3, 3, 3]


async def test_presence_of_a_follower_that_speaks_for_several_tabs(
    gateways: Callable[[], Awaitable[Sessions]], script: Script
) -> None:
    """It counts as so many; to speak for another number it connects again."""
    gateway = await gateways()
    sent = Reading(await gateway.start(ALICE, send(S, HELLO)))
    (await script.next()).end()
    await sent.end()
    presence, unwatched = SeenPresence(), SeenPresence()

    watching = asyncio.create_task(presence.follow(await gateways()))
    await presence.until([1])
    leading = asyncio.create_task(unwatched.follow(gateway, tabs=3))
    await presence.until([4])
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    leading = asyncio.create_task(unwatched.follow(gateway, tabs=4))
    await presence.until([5])
    leading.cancel()
    await presence.until([1])
    watching.cancel()


async def test_interrupting_send_waits_until_an_orphan_may_be_closed(
    gateways: Callable[[], Awaitable[Sessions]], script: Script, redis_url: str
) -> None:
    """A gateway that has just come up may take nothing over yet: the send that would interrupt is
    no 409, and neither it nor a stop needs the hint of the orphan's lease."""
    for session, stops in ((SessionId("sent"), False), (SessionId("stopped"), True)):
        async with mortal(redis_url, script) as (doomed, store):
            await doomed.start(ALICE, send(session, HELLO))
            dead = await script.next()
            store.dead = True
        assert dead.cancelled
        await lease_over(redis_url, session)
        newcomer = await gateways()
        assert not newcomer.shutdown.reaper.may_take_over(session)
        if stops:
            assert len(await newcomer.stop(ALICE, session)) == 1
        again = await newcomer.start(
            ALICE, send(session, HELLO, user_message("u2", "now this"), on_active="interrupt")
        )
        (await script.next()).finish()
        assert types(await Reading(again).end())[-1] == "finish"
        snapshot = await newcomer.snapshot(ALICE, session)
        assert snapshot.runs[0].outcome is RunOutcome.FINISHED


async def lease_over(redis_url: str, session: SessionId) -> None:
    """Lose the hint of a dead producer's lease, and wait until that has run out."""
    async with RedisStore.connect(redis_url) as store:
        # First: other gateways of the test would follow it.
        await store._client.run(("DEL", hint_of(store, "leases", session)))
        meta = store._keys.session(session).meta
        lease = int(await store._client.run(("HGET", meta, "lease")) or 0)
        await eventually(lambda: time.time() * 1_000 > lease, "the lease is over")
