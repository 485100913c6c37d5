"""The subscription: order, and what a lost connection looks like to its reader."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from midstream.errors import StoreUnavailableError
from midstream.ids import SessionId
from midstream.protocol.position import Position
from midstream.store.records import Arrived, Reconnected, Resubscribed
from midstream.store.redis import channel as channel_module
from midstream.store.redis.channel import RedisChannel
from midstream.store.redis.store import RedisStore
from midstream.store.server.embedded import EmbeddedRedis
from midstream.store.server.settings import StoreSettings
from midstream.store.wire import RedisPushes
from tests.support.refusals import REFUSALS, RefusingRedis

from .scenario import EPOCH, SESSION, answered, batch, opened, submit, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis

    from midstream.store.records import ChannelEvent, LogEntry

    Arrivals: TypeAlias = asyncio.Queue[ChannelEvent]

pytestmark = pytest.mark.anyio

OTHER = SessionId("chat-2")
LOST = Reconnected()


@pytest.fixture(autouse=True, params=["by call", "by task"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have records arrive in both ways; by task only where redis-py has another shape."""
    if request.param == "by task":
        monkeypatch.setattr(RedisPushes, "of", lambda *_: None)


@asynccontextmanager
async def listening(store: RedisStore) -> AsyncIterator[tuple[RedisChannel, Arrivals]]:
    """A channel whose arrivals are read into a queue, as a hub does."""
    arrivals: Arrivals = asyncio.Queue()

    async def read(channel: RedisChannel) -> None:
        async for arrival in channel:
            arrivals.put_nowait(arrival)

    def receive(session: SessionId, entry: LogEntry) -> None:
        arrivals.put_nowait(Arrived(session, entry))

    async with store.channel(receive) as channel:
        assert isinstance(channel, RedisChannel)
        reader = asyncio.create_task(read(channel))
        try:
            yield channel, arrivals
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def entries(arrivals: Arrivals, count: int) -> list[LogEntry]:
    found = [await arrivals.get() for _ in range(count)]
    return [event.entry for event in found if isinstance(event, Arrived)]


async def sessions_of(arrivals: Arrivals, count: int) -> list[SessionId]:
    """Wait for so many records; return whose they are."""
    found = [await arrivals.get() for _ in range(count)]
    assert all(isinstance(event, Arrived) for event in found)
    return [event.session_id for event in found if isinstance(event, Arrived)]


async def test_channel_delivers_what_the_log_holds_in_its_order(store: RedisStore) -> None:
    """Every kind of record arrives as it can be read, each naming its predecessor."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await answered(store)
        arrived = await entries(arrivals, 6)

    page = await store.read_log(SESSION, Position(EPOCH, "0-0"), count=100)
    assert tuple(arrived) == page.entries


async def test_channel_delivers_the_sessions_that_were_joined(store: RedisStore) -> None:
    """Joined, joined later, not joined, left."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await channel.join(OTHER)
        await channel.leave(OTHER)
        for session in (OTHER, SESSION):
            await opened(store, submit(session=session))
        await channel.join(OTHER)
        await store.append([batch(0, session=OTHER)])
        arrived = await sessions_of(arrivals, 3)

    assert arrived == [SESSION, SESSION, OTHER]
    assert arrivals.empty()


async def test_join_twice_subscribes_once(store: RedisStore) -> None:
    """Joins that race wait for the same confirmation; a record arrives once."""
    async with listening(store) as (channel, arrivals):
        await asyncio.gather(*(channel.join(SESSION) for _ in range(3)))
        await channel.join(SESSION)
        await opened(store)
        await store.append([batch(0)])
        assert len(await entries(arrivals, 3)) == 3
        assert arrivals.empty()


async def test_leave_then_join_at_once_stays_joined(store: RedisStore) -> None:
    """The confirmation of the leave is not taken for a lost subscription."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await channel.leave(SESSION)
        await channel.join(SESSION)
        await opened(store)
        first = await arrivals.get()

    assert isinstance(first, Arrived)


async def test_cancelled_join_leaves_others_waiting(store: RedisStore) -> None:
    """A reader that goes away while joining does not cancel one that joins too."""
    async with listening(store) as (channel, _):
        first = asyncio.create_task(channel.join(SESSION))
        second = asyncio.create_task(channel.join(SESSION))
        await asyncio.sleep(0)
        first.cancel()
        await second


async def test_channel_joins_again_after_its_connection_was_killed(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """The reader gets an event, after which all messages arrive again."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await channel.join(OTHER)
        raw_redis.client_kill_filter(_type="pubsub")
        assert await arrivals.get() == LOST
        for session in (OTHER, SESSION):
            await opened(store, submit(session=session))
        arrived = await sessions_of(arrivals, 4)

    assert arrived == [OTHER, OTHER, SESSION, SESSION]


async def test_iteration_raises_what_the_receiver_does(store: RedisStore) -> None:
    """The connection is closed with it: a record may be lost, and heads are to be compared."""

    def receive(_session: SessionId, _entry: LogEntry) -> None:
        raise LookupError("not one of ours")

    async with store.channel(receive) as channel:
        assert isinstance(channel, RedisChannel)
        reading = asyncio.ensure_future(anext(aiter(channel)))
        await channel.join(SESSION)
        await opened(store)
        with pytest.raises(LookupError):
            await reading
        assert channel._connection is None


async def test_sessions_that_were_left_are_forgotten(store: RedisStore) -> None:
    """A gateway meets any number of sessions over one connection to Redis."""
    async with listening(store) as (channel, arrivals):
        for i in range(20):
            session = SessionId(f"chat-{i}")
            await channel.join(session)
            await channel.leave(session)
        await channel.join(SESSION)
        await opened(store)
        await arrivals.get()

        assert not channel._leaving
        assert len(channel._wanted) == len(channel._confirmed) == 1


async def test_lost_connection_is_told_after_all_are_joined_again(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A reader that compares heads after that event misses nothing that comes later."""
    sessions = [SessionId(f"chat-{i}") for i in range(20)]
    async with store.channel() as channel:
        assert isinstance(channel, RedisChannel)
        first = asyncio.ensure_future(anext(aiter(channel)))
        for session in sessions:
            await channel.join(session)
        raw_redis.client_kill_filter(_type="pubsub")

        assert await first == LOST
        assert len(channel._confirmed) == len(sessions)


async def test_channel_tells_of_a_lost_connection_with_nothing_joined(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """There is nobody to join again, but joins work."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await channel.leave(SESSION)
        raw_redis.client_kill_filter(_type="pubsub")
        raw_redis.client_kill_filter(_type="normal", skipme=True)
        assert await arrivals.get() == LOST
        await channel.join(SESSION)


async def test_subscription_that_redis_ended_is_made_again(
    store: RedisStore,
) -> None:
    """An unrequested unsubscribe (a slot moved) is an event of that session."""
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        await channel.join(OTHER)
        feed = f"ms:{{{SESSION}}}:feed"
        assert channel._connection is not None
        await channel._connection.send_command("UNSUBSCRIBE", feed)

        assert await arrivals.get() == Resubscribed(SESSION)
        await opened(store)
        assert await sessions_of(arrivals, 1) == [SESSION]


async def test_join_fails_while_redis_is_away(tmp_path: Path) -> None:
    """A reader is not kept waiting for an outage to end."""
    settings = StoreSettings(command_timeout_s=1.0)
    async with (
        RedisStore.connect(f"unix://{tmp_path}/none.sock", settings=settings) as store,
        listening(store) as (channel, _),
    ):
        with pytest.raises(StoreUnavailableError):
            await channel.join(SESSION)


def test_channel_survives_a_restart_of_redis(tmp_path: Path) -> None:
    """Sessions joined before, or in vain while it was away, are joined after the restart."""
    stack = AsyncExitStack()

    async def before(url: str) -> tuple[RedisStore, RedisChannel, Arrivals]:
        store = await stack.enter_async_context(RedisStore.connect(url))
        channel, arrivals = await stack.enter_async_context(listening(store))
        await channel.join(SESSION)
        await opened(store)
        await entries(arrivals, 2)
        return store, channel, arrivals

    async def away(channel: RedisChannel) -> None:
        with pytest.raises(StoreUnavailableError):
            await channel.join(OTHER)

    async def after(store: RedisStore, arrivals: Arrivals) -> list[SessionId]:
        assert await arrivals.get() == LOST
        await store.append([batch(0)])
        await opened(store, submit(session=OTHER))
        return await sessions_of(arrivals, 3)

    # Starting a server blocks, so the loop stands still while it is started and stopped.
    with asyncio.Runner() as runner:
        with EmbeddedRedis(tmp_path, appendfsync="no") as server:
            store, channel, arrivals = runner.run(before(server.url))
        runner.run(away(channel))
        with EmbeddedRedis(tmp_path, appendfsync="no"):
            assert runner.run(after(store, arrivals)) == [SESSION, OTHER, OTHER]
            runner.run(stack.aclose())


async def test_sharded_channel_delivers_too(redis_url: str) -> None:
    """SPUBLISH and SSUBSCRIBE, as a cluster needs them."""
    async with (
        RedisStore.connect(redis_url, settings=StoreSettings(sharded=True)) as store,
        listening(store) as (channel, arrivals),
    ):
        await channel.join(SESSION)
        await answered(store)
        assert len(await entries(arrivals, 6)) == 6
        await store.erase(SESSION)
        assert len(await entries(arrivals, 1)) == 1


@pytest.mark.parametrize("word", ["LOADING", "MISCONF"])
async def test_refused_sign_of_life_costs_no_subscription(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Redis refuses PING alone, for as long as it loads, or its disk is full: each connection made
    anew in that time would have every session subscribed, and its log looked at, again.
    """
    # Longer than Redis takes to answer, on a busy machine as well: one that loads looks at its
    # connections every 0.2 s, and a PING that is late costs the connection.
    monkeypatch.setattr(channel_module, "PING_INTERVAL_S", 1.5)
    server = RefusingRedis(tmp_path)
    server.start()
    try:
        async with RedisStore.connect(server.url) as store, listening(store) as (channel, arrivals):
            await channel.join(SESSION)
            connection = channel._connection
            async with refusing(server, word):
                server.do("CONFIG", "RESETSTAT")
                await wait_until(lambda: refusals(server, word) >= 3)
            await opened(store)
            assert len(await entries(arrivals, 2)) == 2
            assert channel._connection is connection
    finally:
        server.end()


@asynccontextmanager
async def refusing(server: RefusingRedis, word: str) -> AsyncIterator[None]:
    """Have it refuse, and wait for that in a thread, while the channel reads."""
    block = REFUSALS[word](server)
    await asyncio.to_thread(block.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


def refusals(server: RefusingRedis, word: str) -> int:
    """Return how often the server has refused with a word."""
    stats: Any = server.client.info("errorstats")
    return int(stats.get(f"errorstat_{word}", {"count": 0})["count"])


async def test_connections_that_do_not_last_are_made_less_and_less_often(
    store: RedisStore, raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis takes the subscriptions, and drops who made them, again and again."""
    pauses: list[float] = []

    async def pause(longest_s: float) -> None:
        pauses.append(longest_s)

    monkeypatch.setattr(channel_module, "_pause", pause)
    monkeypatch.setattr(channel_module, "LAST_BACKOFF_S", 60.0)
    async with listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        for _ in range(4):
            raw_redis.client_kill_filter(_type="pubsub")
            assert await arrivals.get() == LOST

    assert pauses == sorted(set(pauses))
    assert len(pauses) >= 4


async def test_channel_drops_a_connection_that_no_longer_answers(
    redis_server: EmbeddedRedis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that vanished without a word is noticed, and the sessions are joined again."""
    patience_s = channel_module.PING_INTERVAL_S
    monkeypatch.setattr(channel_module, "PING_INTERVAL_S", 0.05)
    assert redis_server.pid is not None
    async with RedisStore.connect(redis_url) as store, listening(store) as (channel, arrivals):
        await channel.join(SESSION)
        connection = channel._connection
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            await wait_until(lambda: channel._connection is not connection)
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        assert await arrivals.get() == LOST
        # A busy machine may answer on the next one later than that.
        monkeypatch.setattr(channel_module, "PING_INTERVAL_S", patience_s)
        await opened(store)
        found: list[LogEntry] = []
        while len(found) < 2:
            found += await entries(arrivals, 1)
