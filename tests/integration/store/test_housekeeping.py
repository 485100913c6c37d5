from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.ids import ANONYMOUS, NO_TENANT, MessageId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.records import Arrived, ErasedRecord
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import StoreSettings

from .scenario import (
    EPOCH,
    HOUR_MS,
    OWNER,
    SESSION,
    answered,
    batch,
    close,
    hint_of,
    key,
    opened,
    submit,
    wait_until,
)

if TYPE_CHECKING:
    import redis

pytestmark = pytest.mark.anyio

START = Position(EPOCH, "0-0")
NO_WINDOW = StoreSettings(reconnect_window_s=0)


# -- time to live -----------------------------------------------------------------------


async def test_session_expires_as_a_whole(
    redis_url: str, raw_redis: redis.Redis, store: RedisStore
) -> None:
    """All keys of a session have one deadline, which open, renew and close move."""
    settings = StoreSettings(session_ttl_s=1_000)
    async with RedisStore.connect(redis_url, settings=settings) as brief:
        await opened(brief, submit(request_key="k"))
        await brief.request_stop(
            SESSION, run_id=None, message_id=MessageId("u2"), by="ada", tombstone_ms=HOUR_MS
        )
        deadlines = {raw_redis.expiretime(k) for k in raw_redis.scan_iter("ms:{*")}
        assert len(deadlines) == 1
        assert all(0 < raw_redis.ttl(k) <= 1_000 for k in raw_redis.scan_iter())
    for write in (store.renew([key()], HOUR_MS), store.close_run(close(0))):
        for name in raw_redis.scan_iter("ms:{*"):
            raw_redis.expire(name, 500)
        await write
        assert all(raw_redis.ttl(k) > 1_000 for k in raw_redis.scan_iter("ms:{*"))


# -- trimming ---------------------------------------------------------------------------


async def test_trim_due_waits_for_the_reconnect_window(store: RedisStore) -> None:
    """A run that has just ended can be read chunk by chunk."""
    await answered(store)

    assert await store.trim_due(10) == 0
    assert (await store.read_log(SESSION, START, count=100)).recovered


async def test_trim_due_removes_what_the_window_has_passed(
    redis_url: str, raw_redis: redis.Redis
) -> None:
    """The log is emptied, the messages stay, and the hint is used up."""
    async with RedisStore.connect(redis_url, settings=NO_WINDOW) as store:
        await answered(store)
        clock = raw_redis.time()
        await wait_until(lambda: raw_redis.time() > (clock[0], clock[1] + 2_000))

        assert await store.trim_due(10) == 1
        assert await store.trim_due(10) == 0
        assert await store.read_run(SESSION, "0-0", count=100) == ()
        state = await store.load(SESSION)
        assert state is not None
        assert [m.id for m in state.path] == ["u1", "a-r1"]


async def test_trim_due_keeps_the_run_under_way(redis_url: str, raw_redis: redis.Redis) -> None:
    """The chunks of a living run are not trimmed, however old."""
    async with RedisStore.connect(redis_url, settings=NO_WINDOW) as store:
        await answered(store)
        second = await opened(store, submit("u2", "r2", parent="a-r1"))
        await store.append([batch(0, run="r2")])
        clock = raw_redis.time()
        await wait_until(lambda: raw_redis.time() > (clock[0], clock[1] + 2_000))

        assert await store.trim_due(10) == 1
        entries = await store.read_run(SESSION, "0-0", count=100)
        assert entries[0].offset == second.opened
        assert len(entries) == 2


async def test_trim_due_of_an_erased_session_is_no_error(
    redis_url: str, raw_redis: redis.Redis
) -> None:
    """A hint of a session that is gone is removed."""
    async with RedisStore.connect(redis_url, settings=NO_WINDOW) as store:
        raw_redis.zadd(hint_of(store, "trim", SessionId("gone")), {"gone": 1})
        assert await store.trim_due(10) == 1
        assert await store.trim_due(10) == 0


# -- erasing ----------------------------------------------------------------------------


async def test_erase_leaves_nothing(store: RedisStore, raw_redis: redis.Redis) -> None:
    """No key, no hint: not of ended runs, request keys or tombstones either."""
    await answered(store)
    await opened(store, submit("u2", "r2", parent="a-r1", request_key="k"))
    await store.request_stop(
        SESSION, run_id=None, message_id=MessageId("u3"), by="ada", tombstone_ms=HOUR_MS
    )

    assert await store.erase(SESSION) == ["r2"]
    assert list(raw_redis.scan_iter()) == []


async def test_erase_returns_no_run_when_none_is_active(store: RedisStore) -> None:
    """There is nothing to stop; and erasing twice is erasing once."""
    await answered(store)

    assert await store.erase(SESSION) == []
    assert await store.erase(SESSION) == []


async def test_erase_tells_readers_with_a_record_that_follows_the_head(
    store: RedisStore,
) -> None:
    """A reader that delivers only what follows its head delivers the erasure."""
    await answered(store)
    meta = await store.load_meta(SESSION)
    assert meta is not None
    async with store.channel() as channel:
        arrivals = channel.__aiter__()
        first = asyncio.ensure_future(anext(arrivals))
        await channel.join(SESSION)
        await store.erase(SESSION)
        event = await first

    assert isinstance(event, Arrived)
    assert event.session_id == SESSION
    entry = event.entry
    assert entry.record == ErasedRecord()
    assert entry.previous == meta.position.offset
    assert entry.offset > entry.previous


# -- a user's sessions --------------------------------------------------------------------


async def test_list_sessions_newest_activity_first(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Opening and closing a run are activity."""
    for i in range(3):
        await opened(store, submit(session=SessionId(f"chat-{i}")))
        raw_redis.zadd("ms:user:{ada}", {f"chat-{i}": 1_000 + i})
    await opened(store, submit(session=SessionId("foreign"), owner=UserId("eve")))
    await store.close_run(close(0, session=SessionId("chat-0")))
    listed = await store.list_sessions(OWNER, limit=10, before_ms=None)

    assert [meta.id for meta in listed] == ["chat-0", "chat-2", "chat-1"]
    assert listed[0].active_run_id is None


async def test_list_sessions_pages_by_time(store: RedisStore, raw_redis: redis.Redis) -> None:
    """The last one's time is where the next page begins."""
    for i in range(5):
        await opened(store, submit(session=SessionId(f"chat-{i}")))
        raw_redis.zadd("ms:user:{ada}", {f"chat-{i}": 1_000 + i})
    first = await store.list_sessions(OWNER, limit=2, before_ms=None)
    second = await store.list_sessions(OWNER, limit=9, before_ms=first[-1].updated_at_ms)

    assert [meta.id for meta in first] == ["chat-4", "chat-3"]
    assert [meta.id for meta in second] == ["chat-2", "chat-1", "chat-0"]


@pytest.mark.parametrize("owner", [ANONYMOUS, UserId("{a}|b c\n"), UserId("é")])
async def test_list_sessions_of_any_user_id(store: RedisStore, owner: UserId) -> None:
    """Tokens may contain any user id."""
    await opened(store, submit(owner=owner))

    (meta,) = await store.list_sessions(owner, limit=10, before_ms=None)
    assert meta.owner == owner


async def test_list_sessions_of_one_tenants_user(store: RedisStore) -> None:
    """The same id in another tenant is another user, with a list of their own."""
    tenants = [NO_TENANT, TenantId("a"), TenantId("b")]
    for tenant in tenants:
        name = SessionId(f"of-{tenant}")
        await opened(store, submit(session=name, run=f"r-{tenant}", tenant=tenant))
        await store.close_run(close(0, run=f"r-{tenant}", session=name))
    for tenant in tenants:
        (meta,) = await store.list_sessions(OWNER, tenant=tenant, limit=10, before_ms=None)
        assert (meta.id, meta.tenant) == (f"of-{tenant}", tenant)
        assert await store.erase(meta.id) == []
        assert await store.list_sessions(OWNER, tenant=tenant, limit=10, before_ms=None) == []


async def test_list_sessions_removes_stale_hints_and_fills_the_page(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Sessions that are gone, or another's, are skipped and forgotten."""
    await opened(store, submit())
    await opened(store, submit(session=SessionId("foreign"), owner=UserId("eve")))
    raw_redis.zadd("ms:user:{ada}", {"gone": 3, "foreign": 2, SESSION: 1})
    listed = await store.list_sessions(OWNER, limit=1, before_ms=None)

    assert [meta.id for meta in listed] == [SESSION]
    assert raw_redis.zrange("ms:user:{ada}", 0, -1) == [SESSION.encode()]


async def test_list_sessions_keeps_the_hint_of_a_session_that_is_being_opened(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """The hint is written first: a list in between must not lose the session for ever."""
    await opened(store, submit())
    score = raw_redis.zscore("ms:user:{ada}", SESSION)
    assert score is not None
    raw_redis.zadd("ms:user:{ada}", {"opening": score})

    assert len(await store.list_sessions(OWNER, limit=10, before_ms=None)) == 1
    assert raw_redis.zscore("ms:user:{ada}", "opening") == score
