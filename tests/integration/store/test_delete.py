"""A message deleted: its words are nowhere, and the tree closes over its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.ids import MessageId
from midstream.protocol.position import Position
from midstream.store.calls import DeleteStatus
from midstream.store.keys import Keys
from midstream.store.records import DeletedRecord, RunOutcome

from .scenario import EPOCH, EXPIRED, SESSION, answered, batch, close, message, opened, submit

if TYPE_CHECKING:
    import redis

    from midstream.store.records import SessionState
    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

KEYS = Keys().session(SESSION)


async def delete(store: RedisStore, name: str | None = None) -> DeleteStatus:
    """Delete one message, or all."""
    message_id = None if name is None else MessageId(name)
    return (await store.delete(SESSION, EPOCH, message_id)).status


async def state(store: RedisStore, leaf: str | None = None) -> SessionState:
    """Return the session, which is there."""
    found = await store.load(SESSION, leaf=None if leaf is None else MessageId(leaf))
    assert found is not None
    return found


async def path(store: RedisStore, leaf: str | None = None) -> list[str]:
    """Return the ids of a path."""
    return [each.id for each in (await state(store, leaf)).path]


def everything(raw_redis: redis.Redis) -> bytes:
    """Return all that Redis keeps of the session."""
    log = raw_redis.xrange(KEYS.log)
    hashes = [raw_redis.hgetall(key) for key in KEYS if raw_redis.type(key) == b"hash"]
    return repr((log, hashes)).encode()


async def two_turns(store: RedisStore) -> None:
    """Have two questions answered."""
    await answered(store)
    await answered(store, "u2", "r2", parent="a-r1")


@pytest.mark.parametrize(
    ("deleted", "left", "unasked"),
    [
        pytest.param("u1", ["a-r1", "u2", "a-r2"], ["a-r1"], id="the first question"),
        pytest.param("a-r1", ["u1", "u2", "a-r2"], ["u2"], id="an answer"),
        pytest.param("u2", ["u1", "a-r1", "a-r2"], ["a-r2"], id="a later question"),
        pytest.param("a-r2", ["u1", "a-r1", "u2"], [], id="the newest message"),
    ],
)
async def test_message_is_deleted_and_nothing_else(
    store: RedisStore, deleted: str, left: list[str], unasked: list[str]
) -> None:
    """Its children hang on its parent, and are known as its former children."""
    await two_turns(store)
    assert await delete(store, deleted) is DeleteStatus.DELETED
    found = await state(store)
    assert [each.id for each in found.path] == left
    assert [each.id for each in found.path if each.unasked] == unasked
    assert found.deleted == {deleted}
    assert not found.off_path
    assert found.meta.head_message_id == left[-1]
    assert await delete(store, deleted) is DeleteStatus.DELETED
    assert await path(store) == left


async def test_branches_of_a_deleted_message_hang_side_by_side(store: RedisStore) -> None:
    """In their order; those of other messages are as they were."""
    await two_turns(store)
    await answered(store, "u2b", "r3", parent="a-r1")
    await delete(store, "a-r1")
    assert await path(store) == ["u1", "u2b", "a-r3"]
    assert await path(store, "a-r2") == ["u1", "u2", "a-r2"]
    await delete(store, "u2b")
    assert await path(store) == ["u1", "a-r3"]


async def test_all_messages_are_deleted_and_the_session_stays(store: RedisStore) -> None:
    """All branches; its epoch, its runs and their keys are kept, and it goes on."""
    await two_turns(store)
    await answered(store, "v1", "r3")
    before = await state(store)
    assert await delete(store) is DeleteStatus.DELETED
    found = await state(store)
    assert (found.path, found.off_path, found.meta.head_message_id) == ((), {}, None)
    assert found.deleted == {"u1", "a-r1", "u2", "a-r2", "v1", "a-r3"}
    assert found.meta.position.epoch == before.meta.position.epoch
    assert found.run == before.run
    assert await delete(store) is DeleteStatus.DELETED
    await answered(store, "u9", "r9")
    assert await path(store) == ["u9", "a-r9"]


@pytest.mark.parametrize("names", [("u1", "a-r1"), (None,)])
async def test_words_of_what_was_deleted_are_nowhere(
    store: RedisStore, raw_redis: redis.Redis, names: tuple[str | None, ...]
) -> None:
    """Neither in the tree nor in the log, nor as the session's title; its id is."""
    await opened(store, submit("u1", "r1", content="swordfish"))
    await store.append([batch(0, 2)])
    answer = message("a-r1", "u1", content="swordfish")
    await store.close_run(close(2, answer=answer))
    await answered(store, "u2", "r2", parent="a-r1")
    for name in names:
        await delete(store, name)
    assert b"swordfish" not in everything(raw_redis)
    assert (await state(store)).meta.title == ""
    await answered(store, "u3", "r3")
    assert (await state(store)).meta.title == "Greeting"


async def test_deletion_follows_nothing_in_the_log(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Readers of any earlier position begin again; later ones read on."""
    await two_turns(store)
    before = (await state(store)).meta.position
    await delete(store, "u1")
    head = (await state(store)).meta.position
    await answered(store, "u3", "r3", parent="a-r2")

    assert not (await store.read_log(SESSION, before, count=100)).recovered
    page = await store.read_log(SESSION, head, count=100)
    assert page.recovered
    assert len(page.entries) > 3
    assert raw_redis.xrange(KEYS.log)[0] == (  # type: ignore[index]
        head.offset.encode(),
        {b"p": b"", b"r": b"d\nu1"},
    )
    (entry, *_) = await store.read_run(SESSION, head.offset, count=1)
    assert entry.record == DeletedRecord(id=MessageId("u1"))


@pytest.mark.parametrize("name", ["u2", "a-r2", None])
async def test_what_a_run_is_about_stays_until_it_has_ended(
    store: RedisStore, name: str | None
) -> None:
    """The message that it answers, the one that it writes, and with them the whole session."""
    await answered(store)
    await opened(store, submit("u2", "r2", parent="a-r1"))
    done = await store.delete(SESSION, EPOCH, None if name is None else MessageId(name))
    assert (done.status, done.run_id) == (DeleteStatus.ACTIVE, "r2")
    assert await path(store) == ["u1", "a-r1", "u2"]


async def test_run_of_a_dead_process_is_to_be_closed_first(store: RedisStore) -> None:
    await opened(store, submit(lease_ms=EXPIRED))
    assert await delete(store) is DeleteStatus.ORPHAN


async def test_run_goes_on_beside_a_deletion(store: RedisStore) -> None:
    """All of its chunks are kept, before and after; its answer finds its place."""
    await answered(store)
    begun = await opened(store, submit("u2", "r2", parent="a-r1"))
    await store.append([batch(0, 2, run="r2")])
    assert await delete(store, "a-r1") is DeleteStatus.DELETED
    await store.append([batch(2, 2, run="r2")])
    chunks = [
        entry.record.first
        for entry in await store.read_run(SESSION, begun.opened, count=100)
        if hasattr(entry.record, "first")
    ]
    assert chunks == [0, 2]
    await store.close_run(close(4, run="r2", answer=message("a-r2", "u2")))
    assert await path(store) == ["u1", "u2", "a-r2"]
    assert (await state(store)).meta.format == 1


@pytest.mark.parametrize(
    ("epoch", "name", "expected"),
    [
        pytest.param(EPOCH, "nowhere", DeleteStatus.ABSENT, id="no such message"),
        pytest.param("other", "u1", DeleteStatus.GONE, id="another epoch"),
    ],
)
async def test_what_is_not_there_is_not_deleted(
    store: RedisStore, epoch: str, name: str, expected: DeleteStatus
) -> None:
    await answered(store)
    assert (await store.delete(SESSION, epoch, MessageId(name))).status is expected
    assert await path(store) == ["u1", "a-r1"]
    assert (await state(store)).meta.format == 1


async def test_deleted_message_that_is_sent_again_is_a_new_one(store: RedisStore) -> None:
    """At the place where it is sent now."""
    await two_turns(store)
    await delete(store, "u1")
    await answered(store, "u1", "r3", parent="a-r2")
    found = await state(store)
    assert [each.id for each in found.path] == ["a-r1", "u2", "a-r2", "u1", "a-r3"]
    assert found.path[-2].order > found.path[-3].order
    assert found.deleted == frozenset()


async def test_older_gateways_do_not_write_where_something_was_deleted(store: RedisStore) -> None:
    """They would send models the answer of a deleted question."""
    await answered(store, outcome=RunOutcome.STOPPED)
    await delete(store, "u1")
    assert (await state(store)).meta.format == 2
    assert (await store.read_log(SESSION, Position(EPOCH, "0-0"), count=9)).recovered is False
