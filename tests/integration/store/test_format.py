"""Sessions of a format above ours: every script that writes leaves them as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from midstream.errors import UpgradeNeededError
from midstream.ids import MessageId, SessionId, UserId
from midstream.protocol.position import Position
from midstream.store.calls import AppendStatus, OpenStatus, Renewed, StopStatus
from midstream.store.format import WRITE_FORMAT
from midstream.store.records import RunOutcome, UnknownRecord
from midstream.store.redis.store import RedisStore
from midstream.store.scripts.catalog import DESCRIPTIONS
from midstream.store.scripts.script import LUA
from midstream.store.server.settings import StoreSettings
from tests.support.version_to_come import NEXT_FORMAT, StoreToCome, VersionToCome

from .scenario import (
    EPOCH,
    EXPIRED,
    HOUR_MS,
    OWNER,
    SESSION,
    answered,
    batch,
    chunks,
    close,
    hint_of,
    key,
    message,
    opened,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import redis

pytestmark = pytest.mark.anyio

SCRIPTS = {each.name for each in DESCRIPTIONS}
READ_ONLY = {"due", "load", "load_run", "read", "recall"}
OUTSIDE_SESSIONS = {"hint", "missing", "presence"} | {
    f"limit_{name}" for name in ("hold", "spend", "store", "take", "undo")
}
WRITES = re.compile(
    r"'(HSET|HDEL|HINCRBY|XADD|XTRIM|DEL|UNLINK|EXPIRE|PEXPIRE|ZADD)'"
    r"|\b(set|set_lease|set_wait|commit\w*|put_\w+|note_\w+|trim_to|leave_\w+|refresh)\("
)
COMPARES = re.compile(
    r"if (is_newer\((m\[\d\]|format|redis.call\('HGET', META, 'format'\))\)"
    r"|m\[7\] and tonumber\(m\[7\]\) > WRITE_FORMAT)"
)


@pytest.fixture
def newer(raw_redis: redis.Redis) -> VersionToCome:
    """A newer gateway's writes into the session."""
    return VersionToCome(raw_redis, SESSION)


def test_each_script_that_writes_a_session_compares_its_format() -> None:
    """A new script joins one of the lists, or asks."""
    own = {name: (LUA / f"{name}.lua").read_text("utf-8") for name in SCRIPTS}
    comparing = {name for name, source in own.items() if COMPARES.search(source)}

    assert comparing == SCRIPTS - READ_ONLY - OUTSIDE_SESSIONS
    assert not any(WRITES.search(own[name]) for name in READ_ONLY)


@pytest.mark.parametrize(
    ("kept", "found"),
    [("", 1), ("1", 1), (str(WRITE_FORMAT), WRITE_FORMAT), (str(NEXT_FORMAT), NEXT_FORMAT)],
)
async def test_format_of_a_session_is_read(
    store: RedisStore, raw_redis: redis.Redis, newer: VersionToCome, kept: str, found: int
) -> None:
    """A new session has the first one, as one from before there were formats."""
    await opened(store)
    assert raw_redis.hget(newer.keys.meta, "format") == b"1"
    if kept:
        raw_redis.hset(newer.keys.meta, "format", kept)
    else:
        raw_redis.hdel(newer.keys.meta, "format")

    meta, state = await store.load_meta(SESSION), await store.load(SESSION)
    assert meta is not None
    assert state is not None
    assert (meta.format, state.meta.format) == (found, found)
    assert meta.is_newer == (found > WRITE_FORMAT)
    (listed,) = await store.list_sessions(OWNER, limit=5, before_ms=None)
    assert listed.format == found


async def test_raised_format_never_falls(raw_redis: redis.Redis, newer: VersionToCome) -> None:
    """Its first use in a session raises it; later uses, and other features, leave it."""
    for raised, expected in ((2, b"2"), (5, b"5"), (3, b"5")):
        newer.run("raise_format(raised + 0)", raised=raised)
        assert raw_redis.hget(newer.keys.meta, "format") == expected
    raw_redis.delete(newer.keys.meta)


async def stop(store: RedisStore, name: str | None = None) -> StopStatus:
    message_id = MessageId(name) if name else None
    answer = await store.request_stop(
        SESSION, run_id=None, message_id=message_id, by="ada", tombstone_ms=HOUR_MS
    )
    return answer.status


RAISING: dict[str, Callable[[RedisStore], Awaitable[object]]] = {
    "open": lambda store: store.open_run(submit("u2", "r2")),
    "open again": lambda store: store.open_run(submit(request_key="k")),
    "stop": stop,
    "prevent": lambda store: stop(store, "u9"),
    "take over": lambda store: store.take_over(SESSION, key().run_id, HOUR_MS),
    "take over by force": lambda store: store.take_over(
        SESSION, key().run_id, HOUR_MS, force=True
    ),
    "remember": lambda store: store.remember(key(), b"point"),
    "release": lambda store: store.release(key()),
    "delete": lambda store: store.delete(SESSION, EPOCH, None),
    "select": lambda store: store.select(SESSION, EPOCH, MessageId("u1"), by="ada"),
    "erase": lambda store: store.erase(SESSION),
}  # fmt: skip


@pytest.mark.parametrize("call", RAISING)
@pytest.mark.parametrize("ended", [False, True])
async def test_what_would_write_a_newer_session_raises_and_writes_nothing(
    store: RedisStore, newer: VersionToCome, call: str, ended: bool
) -> None:
    await opened(store, submit(request_key="k", lease_ms=EXPIRED))
    await store.append([batch(0)])
    if ended:
        await store.close_run(close(1))
    newer.raise_format()
    before = newer.dump()

    with pytest.raises(UpgradeNeededError):
        await RAISING[call](store)
    assert newer.dump() == before


async def test_foreign_session_is_denied_before_its_format_is_told(
    store: RedisStore, newer: VersionToCome
) -> None:
    """Nothing tells a stranger that the session is there."""
    await opened(store)
    newer.raise_format()

    denied = await store.open_run(submit(owner=UserId("eve")))
    assert denied.status is OpenStatus.DENIED


async def test_run_under_way_in_a_newer_session_is_answered_newer(
    store: RedisStore, newer: VersionToCome, raw_redis: redis.Redis
) -> None:
    """Its append, renewal and close write nothing, beside those of other sessions; the hint of
    its lease stays, for it leads a newer gateway to the run."""
    other = SessionId("chat-2")
    await opened(store)
    await opened(store, submit(session=other))
    await store.append([batch(0)])
    newer.raise_format()
    before = newer.dump()

    refused, taken = await store.append([batch(1), batch(0, session=other)])
    repeated = (await store.append([batch(0)]))[0]
    lost, held = await store.renew([key(), key(session=other)], HOUR_MS)
    closed = await store.close_run(close(1, answer=message("a-r1", "u1")))

    assert {a.status for a in (refused, repeated, closed)} == {AppendStatus.NEWER}
    assert taken.status is AppendStatus.APPENDED
    assert lost == Renewed(held=False, newer=True)
    assert held == Renewed(held=True)
    assert newer.dump() == before
    assert raw_redis.zscore(hint_of(store, "leases"), f"{SESSION}|r1") is not None


async def test_newer_session_is_trimmed_by_a_newer_gateway(
    redis_url: str, newer: VersionToCome, raw_redis: redis.Redis
) -> None:
    """Not by ours, which does not know what is under way in it; and its hint is left for later."""
    settings = StoreSettings(reconnect_window_s=0.001)
    async with RedisStore.connect(redis_url, settings=settings) as store:
        await answered(store)
        newer.raise_format()
        before = newer.dump()
        raw_redis.zadd(hint_of(store, "trim"), {SESSION: 1})
        assert await store.trim_due(10) == 1
        assert newer.dump() == before
        score = raw_redis.zscore(hint_of(store, "trim"), SESSION)
        assert score is not None
        assert score > 1
    async with StoreToCome.connect(redis_url, settings=settings) as later:
        raw_redis.zadd(hint_of(later, "trim"), {SESSION: 1})
        assert await later.trim_due(10) == 1
        assert await later.read_run(SESSION, "0-0", count=100) == ()


async def test_newer_session_is_read_on(store: RedisStore, newer: VersionToCome) -> None:
    """Its log, its runs, itself and its channel, with what is unknown in them passed over."""
    first = await opened(store)
    await store.append([batch(0)])
    assert first.position is not None
    newer.add_record()
    newer.raise_format()
    newer.add_field()
    newer.set_run("pondering", waitsFor="approval")

    page = await store.read_log(SESSION, Position(first.position.epoch, first.opened), count=9)
    assert page.recovered
    assert [type(entry.record).__name__ for entry in page.entries] == [
        "ChunksRecord", "UnknownRecord", "RunRecord",
    ]  # fmt: skip
    assert page.entries[0].record == chunks(0)
    assert page.entries[1].record == UnknownRecord(kind="q")
    state = await store.load(SESSION)
    assert state is not None
    assert state.run is not None
    assert (state.run.state, state.run_next, state.run_expired) == ("pondering", 1, False)
    assert state.meta.active_run_id == "r1"
    assert [m.id for m in state.path] == ["u1"]
    found = await store.load_run(SESSION, key().run_id)
    assert found is not None
    assert found.run == state.run


async def test_session_without_a_run_is_read(store: RedisStore, newer: VersionToCome) -> None:
    """A version to come may keep messages that nobody has answered yet."""
    await answered(store, outcome=RunOutcome.FINISHED)
    newer.raise_format()
    newer.run("redis.call('HDEL', META, 'run', 'state', 'lease', 'next', 'head')")

    state = await store.load(SESSION)
    assert state is not None
    assert (state.run, state.run_next, state.run_expired, state.path) == (None, 0, False, ())
    assert state.meta.active_run_id is None


async def test_gateway_of_the_next_format_writes_what_ours_does_not(
    redis_url: str, newer: VersionToCome
) -> None:
    """The session is writable all the time: for those who know its format."""
    async with StoreToCome.connect(redis_url) as later:
        await opened(later, submit(lease_ms=EXPIRED))
        newer.raise_format()
        (appended,) = await later.append([batch(0)])
        taken = await later.take_over(SESSION, key().run_id, HOUR_MS)
        closed = await later.close_run(close(1, fence=2))

        assert taken is not None
        assert {appended.status, closed.status} == {AppendStatus.APPENDED}
        assert await later.erase(SESSION) == []
