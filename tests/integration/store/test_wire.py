"""Appends by call: a connection of redis-py's with a protocol of our own, and its failures."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import uvloop

from midstream.ids import SessionId
from midstream.store.calls import AppendBatch, Appended, AppendStatus
from midstream.store.redis.channel import RedisChannel
from midstream.store.redis.store import RedisStore
from midstream.store.wire import RedisWire
from tests.support.relay import relay, server_context

from .scenario import SESSION, batch, chunks, client_of, opened, submit, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    import redis as redis_py

    from midstream.store.records import Record
    from midstream.store.redis.client import RedisClient

pytestmark = pytest.mark.anyio

PAUSE_MS = 20_000


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """A store with a run, whose appends can go by call."""
    async with RedisStore.connect(redis_url) as store:
        await opened(store)
        await prepare(store)
        yield store


async def prepare(store: RedisStore) -> None:
    """Have Redis load the script, and the store a connection for calls."""
    elsewhere = SessionId("elsewhere")
    await store.erase(elsewhere)
    await opened(store, submit(session=elsewhere))
    await store.append([batch(0, session=elsewhere)])


def called(
    store: RedisStore, batches: Sequence[AppendBatch]
) -> asyncio.Future[list[Appended] | None]:
    """Append by call, which must be possible."""
    answered: asyncio.Future[list[Appended] | None] = asyncio.get_running_loop().create_future()
    assert store.append_by_call(batches, answered.set_result)
    assert not answered.done()
    return answered


def wire_of(client: RedisClient) -> RedisWire:
    assert client._wire is not None
    return client._wire


async def appends_by_call(url: str) -> None:
    async with RedisStore.connect(url) as store:
        await store.erase(SESSION)
        await opened(store)
        await prepare(store)
        async with heard(store) as records:
            for number in range(3):
                (answer,) = await called(store, [batch(number)]) or []
                assert answer.next == number + 1
            assert [await records.get() for _ in range(3)] == [chunks(0), chunks(1), chunks(2)]


@asynccontextmanager
async def heard(store: RedisStore) -> AsyncIterator[asyncio.Queue[Record]]:
    """What the channel brings of a session, by call."""
    records: asyncio.Queue[Record] = asyncio.Queue()

    async def listen() -> None:
        async for _ in channel:
            pass

    async with store.channel(lambda _, entry: records.put_nowait(entry.record)) as channel:
        listening = asyncio.create_task(listen())
        await channel.join(SESSION)
        assert isinstance(channel, RedisChannel)
        assert channel._pushes is not None
        try:
            yield records
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connection_of_redis_py_has_the_shape_that_a_wire_takes(
    loop: Callable[[], asyncio.AbstractEventLoop], redis_url: str, tmp_path: Path
) -> None:
    """By a UNIX socket, TCP and TLS. If this fails, redis-py has another shape: appends go by a
    task until the wire knows that, and records come by one."""
    path = unquote(redis_url.removeprefix("unix://"))

    async def main() -> None:
        await appends_by_call(redis_url)
        async with relay(path) as port:
            await appends_by_call(f"redis://127.0.0.1:{port}/0")
        async with relay(path, server_context(tmp_path)) as port:
            await appends_by_call(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def test_append_by_call_is_the_append(store: RedisStore) -> None:
    """The same records, the same answers, and one connection for one after the other."""
    wire = wire_of(client_of(store))
    first = await called(store, [batch(0, 2)])
    again = await called(store, [batch(0, 2)])
    second = await called(store, [batch(2), batch(0, fence=7)])

    assert first is not None
    assert again is not None
    assert second is not None
    answers = [*first, *again, *second]
    assert [(answer.status, answer.next) for answer in answers] == [
        (AppendStatus.APPENDED, 2),
        (AppendStatus.DUPLICATE, 2),
        (AppendStatus.APPENDED, 3),
        (AppendStatus.FENCED, 0),
    ]
    entries = await store.read_run(SESSION, first[0].offset, count=10)
    assert [entry.record for entry in entries] == [chunks(0, 2), chunks(2)]
    assert wire_of(client_of(store)) is wire


async def test_one_call_is_under_way_at_a_time(store: RedisStore) -> None:
    """What is asked for meanwhile is not sent, and nobody is called for it."""
    answered = called(store, [batch(0)])
    assert not store.append_by_call([batch(1)], lambda _: pytest.fail("called"))
    assert await answered is not None
    assert await called(store, [batch(1)]) is not None


async def test_refused_call_has_no_answers_and_keeps_its_connection(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """Redis has forgotten the script: a call by a task loads it, and calls are possible again."""
    raw_redis.script_flush()
    assert await called(store, [batch(0)]) is None
    assert store.healthy_since is not None
    wire = wire_of(client_of(store))
    assert not wire.closed
    await store.append([batch(0)])
    (answer,) = await called(store, [batch(1)]) or []
    assert answer.status is AppendStatus.APPENDED
    assert wire_of(client_of(store)) is wire


async def test_lost_connection_has_no_answers_and_another_takes_its_place(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """Redis counts as away until something is answered; then calls are possible again."""
    wire = wire_of(client_of(store))
    raw_redis.client_pause(PAUSE_MS, all=False)
    answered = called(store, [batch(0)])
    await wait_until(lambda: any(each["cmd"] == "evalsha" for each in raw_redis.client_list()))
    raw_redis.client_kill_filter(skipme=True, _type="normal")
    assert await answered is None
    assert wire.closed
    assert store.healthy_since is None
    raw_redis.client_unpause()
    assert not store.append_by_call([batch(0)], lambda _: pytest.fail("called"))
    (by_task,) = await store.append([batch(0)])
    assert by_task.next == 1
    assert store.healthy_since is not None
    assert await called(store, [batch(1)]) is not None


async def test_connection_that_is_lost_while_nothing_is_asked_takes_no_call(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    raw_redis.client_kill_filter(skipme=True, _type="normal")
    await wait_until(lambda: wire_of(client_of(store)).closed)
    assert not store.append_by_call([batch(0)], lambda _: pytest.fail("called"))


async def test_call_that_takes_too_long_has_no_answers(
    store: RedisStore, raw_redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis counts as away, and no later call is sent on the connections of that time."""
    await asyncio.gather(*(store.ping() for _ in range(3)))
    raw_redis.client_pause(PAUSE_MS, all=False)
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(client_of(store), "_timeout_s", 0.1)
            assert await called(store, [batch(0)]) is None
        assert wire_of(client_of(store)).closed
        assert store.healthy_since is None
        before = list(client_of(store)._idle)
        assert before
        await store.ping()
    finally:
        raw_redis.client_unpause()
    assert client_of(store)._idle
    assert not any(each.is_connected for each in before)


async def test_late_call_does_not_tell_of_a_redis_that_has_answered_since(
    store: RedisStore, raw_redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is judged by what was sent last, of that which was answered or was not."""
    raw_redis.client_pause(PAUSE_MS, all=False)
    try:
        monkeypatch.setattr(client_of(store), "_timeout_s", 0.1)
        late = called(store, [batch(0)])
        monkeypatch.setattr(client_of(store), "_timeout_s", 5.0)
        await store.ping()  # a pause of writes lets it pass
        healthy_since = store.healthy_since
        assert await late is None
        assert store.healthy_since == healthy_since is not None
    finally:
        raw_redis.client_unpause()


async def test_reply_that_nobody_awaits_closes_the_connection(store: RedisStore) -> None:
    """The next reply would be taken for another's."""
    wire = wire_of(client_of(store))
    wire.data_received(b"+OK\r\n")
    assert wire.closed
    assert not store.append_by_call([batch(0)], lambda _: pytest.fail("called"))


@pytest.mark.parametrize("said", [b"?\r\n", b"+OK\r\n+OK\r\n"], ids=["not RESP", "too much"])
async def test_call_that_is_answered_wrongly_has_no_answers(store: RedisStore, said: bytes) -> None:
    answered = called(store, [batch(0)])
    wire_of(client_of(store)).data_received(said)
    assert await answered is None
    assert wire_of(client_of(store)).closed


async def test_connection_of_another_shape_leaves_appends_to_tasks(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redis-py to come may keep its transport elsewhere: everything works, by a task."""
    monkeypatch.setattr(RedisWire, "of", lambda *_: None)
    async with RedisStore.connect(redis_url) as store:
        await opened(store)
        for number in range(3):
            (answer,) = await store.append([batch(number)])
            assert answer.next == number + 1
            assert not store.append_by_call([batch(9)], lambda _: pytest.fail("called"))
        assert len(client_of(store)._idle) == 1


async def test_store_closes_the_connection_of_its_calls(
    redis_url: str, raw_redis: redis_py.Redis
) -> None:
    """Also one with a call under way."""
    async with RedisStore.connect(redis_url) as store:
        await opened(store)
        await prepare(store)
        before = len(raw_redis.client_list())
        raw_redis.client_pause(PAUSE_MS, all=False)
        answered = called(store, [batch(0)])
    try:
        assert await answered is None
        await wait_until(lambda: len(raw_redis.client_list()) < before)
    finally:
        raw_redis.client_unpause()
