from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.ids import MessageId
from midstream.protocol.position import Position
from midstream.store.keys import Keys
from midstream.store.records import LoadedRun, RunRecord, RunState

from .scenario import EPOCH, SESSION, answered, batch, close, key, message, now_ms, opened, submit

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

START = Position(EPOCH, "0-0")
KEYS = Keys().session(SESSION)


async def test_every_position_yields_exactly_what_follows(store: RedisStore) -> None:
    """From the start, and after any record, a reader gets the rest, once and in order."""
    await answered(store)
    whole = await store.read_log(SESSION, START, count=100)
    assert whole.head is not None
    assert whole.head.offset == whole.entries[-1].offset

    for i, entry in enumerate(whole.entries, 1):
        page = await store.read_log(SESSION, Position(EPOCH, entry.offset), count=100)
        assert (page.recovered, page.entries) == (True, whole.entries[i:])


async def test_every_record_names_its_predecessor(store: RedisStore) -> None:
    """A reader can tell a hole from an end."""
    await answered(store)
    page = await store.read_log(SESSION, START, count=100)

    offsets = ["0-0", *(entry.offset for entry in page.entries)]
    assert [entry.previous for entry in page.entries] == offsets[:-1]


async def test_read_log_gives_no_more_than_asked(store: RedisStore) -> None:
    """A page's last offset is where the next page begins."""
    await answered(store)
    whole = (await store.read_log(SESSION, START, count=100)).entries
    first = await store.read_log(SESSION, START, count=2)
    second = await store.read_log(SESSION, Position(EPOCH, first.entries[-1].offset), count=2)

    assert first.entries + second.entries == whole[:4]
    assert first.head == Position(EPOCH, whole[-1].offset)


@pytest.mark.parametrize(
    "offset", ["1-0", "99999999999999-0", "18446744073709551615-18446744073709551615",
               "99999999999999999999-0", "00-0"],
    ids=["unknown", "ahead", "greatest", "no id at all", "not how we write it"],
)  # fmt: skip
async def test_position_that_is_not_in_the_log_is_not_recovered(
    store: RedisStore, offset: str
) -> None:
    """A position is never guessed; the answer says where the log is now."""
    await answered(store)
    page = await store.read_log(SESSION, Position(EPOCH, offset), count=100)
    meta = await store.load_meta(SESSION)

    assert (page.recovered, page.entries) == (False, ())
    assert meta is not None
    assert page.head == meta.position


async def test_position_of_another_epoch_is_not_recovered(store: RedisStore) -> None:
    """The same offset in a log that began again is another record."""
    run = await answered(store)
    page = await store.read_log(SESSION, Position("e0", run.opened), count=100)

    assert (page.recovered, page.entries) == (False, ())


async def test_position_in_a_session_that_does_not_exist_is_not_recovered(
    store: RedisStore,
) -> None:
    """There is no head to tell."""
    page = await store.read_log(SESSION, START, count=100)

    assert (page.recovered, page.head, page.entries) == (False, None, ())


async def test_position_before_the_trim_is_not_recovered_and_the_edge_is(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Nothing is missing after the last trimmed record, and something after all before it."""
    await answered(store)
    whole = (await store.read_log(SESSION, START, count=100)).entries
    raw_redis.xtrim(f"ms:{{{SESSION}}}:log", minid=whole[2].offset, approximate=False)

    positions = [START, *(Position(EPOCH, entry.offset) for entry in whole)]
    pages = [await store.read_log(SESSION, position, count=100) for position in positions]
    assert [page.recovered for page in pages] == [False, False, *([True] * (len(whole) - 1))]
    assert pages[2].entries == whole[2:]


async def test_head_is_recovered_when_all_is_trimmed(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A reader that has everything goes on, however little the log holds."""
    await answered(store)
    meta = await store.load_meta(SESSION)
    assert meta is not None
    raw_redis.xtrim(f"ms:{{{SESSION}}}:log", maxlen=0, approximate=False)

    page = await store.read_log(SESSION, meta.position, count=100)
    assert (page.recovered, page.entries) == (True, ())


async def test_record_lost_from_the_log_is_not_skipped(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A log that a failover cut in its middle does not pass for whole."""
    await answered(store)
    whole = (await store.read_log(SESSION, START, count=100)).entries
    raw_redis.xdel(f"ms:{{{SESSION}}}:log", whole[3].offset)

    page = await store.read_log(SESSION, Position(EPOCH, whole[2].offset), count=100)
    assert not page.recovered


async def test_read_run_reads_whatever_was_trimmed_before(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A run's records are read from its first, inclusive, a page at a time."""
    await answered(store)
    second = await answered(store, "u2", "r2", parent="a-r1")
    raw_redis.xtrim(f"ms:{{{SESSION}}}:log", minid=second.opened, approximate=False)

    entries = await store.read_run(SESSION, second.opened, count=3)
    assert second.run is not None
    assert entries[0].record == RunRecord(run=second.run)
    assert len(entries) == 3


async def test_read_chunks_reads_one_run_a_page_at_a_time(store: RedisStore) -> None:
    """Joined where they follow each other; each page tells where it ended."""
    await answered(store)
    run = await opened(store, submit("u2", "r2", parent="a-r1"))
    for first in range(0, 6, 2):
        await store.append([batch(first, 2, run="r2")])
    whole = await store.read_run(SESSION, run.opened, count=100)

    page = await store.read_chunks(SESSION, key("r2").run_id, run.opened, count=len(whole))
    assert [(record.first, record.count) for _, record in page.records] == [(0, 6)]
    assert (page.last, page.full) == (whole[-1].offset, True)

    part = await store.read_chunks(SESSION, key("r2").run_id, whole[-2].offset, count=100)
    assert [(record.first, record.count) for _, record in part.records] == [(2, 4)]
    assert not part.full

    other = await store.read_chunks(SESSION, key("r1").run_id, run.opened, count=100)
    assert other.records == ()
    after = await store.read_chunks(SESSION, key("r2").run_id, "9999999999999-0", count=9)
    assert (after.records, after.last, after.full) == ((), "", False)


async def test_load_run_reads_any_run(store: RedisStore) -> None:
    """An ended run, the one under way with what it holds now, and none."""
    first = await answered(store)
    second = await opened(store, submit("u2", "r2", parent="a-r1"))
    await store.append([batch(0, 2, run="r2")])
    old = await store.load_run(SESSION, key("r1").run_id)
    new = await store.load_run(SESSION, key("r2").run_id)

    assert old is not None
    assert (old.run.state, old.next, old.opened) == (RunState.ENDED, 3, first.opened)
    assert second.run is not None
    assert new == LoadedRun(run=second.run, next=2, opened=second.opened)
    assert await store.load_run(SESSION, key("r3").run_id) is None


async def test_load_of_nothing_is_none(store: RedisStore) -> None:
    """A session that does not exist is no error."""
    assert await store.load(SESSION) is None
    assert await store.load_meta(SESSION) is None
    assert await store.load_run(SESSION, key().run_id) is None
    assert await store.read_run(SESSION, "0-0", count=1) == ()


async def test_path_follows_parents_and_leaves_out_other_branches(store: RedisStore) -> None:
    """An edit of the first message begins another branch; the old one is off the path."""
    await answered(store)
    await answered(store, "u2", "r2", parent="a-r1")
    await opened(store, submit("u1b", "r3"))
    state = await store.load(SESSION)

    assert state is not None
    assert [m.id for m in state.path] == ["u1b"]
    assert state.off_path.keys() == {"u1", "a-r1", "u2", "a-r2"}


async def test_path_ends_with_the_message_that_is_asked_for(store: RedisStore) -> None:
    """Of an older branch too; then the newest one is off the path. Nothing ends with nothing."""
    await answered(store)
    await answered(store, "u2", "r2", parent="a-r1")
    await answered(store, "u2b", "r3", parent="a-r1")
    older = await store.load(SESSION, leaf=MessageId("a-r2"))
    none = await store.load(SESSION, leaf=MessageId("nowhere"))

    assert older is not None
    assert [m.id for m in older.path] == ["u1", "a-r1", "u2", "a-r2"]
    assert older.off_path.keys() == {"u2b", "a-r3"}
    assert older.off_path[MessageId("u2b")].parent_id == "a-r1"
    assert older.meta.head_message_id == "a-r3"
    assert none is not None
    assert none.path == ()


async def test_messages_are_in_the_order_in_which_they_came(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """An edit keeps its place; what was stored before places were kept comes first."""
    await answered(store)
    await answered(store, "u2", "r2", parent="a-r1")
    await opened(store, submit("u1", "r3", content="edited"))
    state = await store.load(SESSION)

    assert state is not None
    orders = {name: each.order for name, each in state.off_path.items()}
    orders |= {each.id: each.order for each in state.path}
    assert sorted(orders, key=lambda name: orders[name]) == ["u1", "a-r1", "u2", "a-r2"]
    raw_redis.hdel(KEYS.messages, "u2||")
    state = await store.load(SESSION)
    assert state is not None
    assert state.off_path[MessageId("u2")].order == (0, 0)


async def test_path_survives_a_cycle(store: RedisStore) -> None:
    """Messages that name each other as parent do not hang Redis."""
    await opened(store, submit("u1", "r1", parent="a-r1"))
    await store.close_run(close(0, answer=message("a-r1", "u1")))
    state = await store.load(SESSION)

    assert state is not None
    assert [m.id for m in state.path] == ["u1", "a-r1"]


async def test_load_meta_agrees_with_load(store: RedisStore) -> None:
    """The short form is the long form without the messages."""
    before = now_ms()
    await answered(store)
    state = await store.load(SESSION)
    meta = await store.load_meta(SESSION)

    assert state is not None
    assert meta == state.meta
    assert before - 60_000 < meta.created_at_ms <= meta.updated_at_ms < before + 60_000
