from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.protocol.position import Position
from midstream.store.calls import AppendStatus
from midstream.store.records import MessageRecord, RunOutcome, RunRecord, RunState

from .scenario import (
    EPOCH,
    EXPIRED,
    HOUR_MS,
    SESSION,
    answered,
    batch,
    chunks,
    close,
    hint_of,
    key,
    message,
    now_ms,
    opened,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio


async def test_close_writes_last_chunks_then_message_then_end(store: RedisStore) -> None:
    """The terminal's records follow each other, and the answer is the new head."""
    run = await opened(store)
    answer = await store.close_run(close(0, 2, answer=message("a-r1", "u1")))
    _, last, said, ended = await store.read_run(SESSION, run.opened, count=10)

    assert (answer.status, answer.next, answer.offset) == (AppendStatus.APPENDED, 2, ended.offset)
    assert last.record == chunks(0, 2)
    assert isinstance(said.record, MessageRecord)
    assert (said.record.id, said.record.parent_id, said.record.run_id) == ("a-r1", "u1", "r1")
    assert isinstance(ended.record, RunRecord)
    assert ended.record.run.state is RunState.ENDED
    assert ended.record.run.outcome is RunOutcome.FINISHED
    assert ended.record.run.ended_at_ms is not None
    state = await store.load(SESSION)
    assert state is not None
    assert (state.meta.active_run_id, state.meta.last_run_id) == (None, "r1")
    assert [m.id for m in state.path] == ["u1", "a-r1"]
    assert (state.run, state.run_next) == (ended.record.run, 2)


async def test_close_without_a_message_leaves_the_head(store: RedisStore) -> None:
    """A run that said nothing stores no answer."""
    await opened(store)
    await store.close_run(close(0, outcome=RunOutcome.STOPPED))
    state = await store.load(SESSION)

    assert state is not None
    assert [m.id for m in state.path] == ["u1"]


async def test_close_without_chunks_writes_no_empty_record(store: RedisStore) -> None:
    """Chunks that were appended before need not be sent again."""
    run = await opened(store)
    await store.append([batch(0)])
    answer = await store.close_run(close(1, 0))
    entries = await store.read_run(SESSION, run.opened, count=10)

    assert (answer.status, answer.next) == (AppendStatus.APPENDED, 1)
    assert [type(entry.record) for entry in entries[2:]] == [RunRecord]


async def test_close_sent_again_changes_nothing(store: RedisStore) -> None:
    """The second answer is the same as the first, even after another run has begun."""
    await opened(store)
    request = close(0, answer=message("a-r1", "u1"))
    first = await store.close_run(request)
    again = await store.close_run(request)
    await opened(store, submit("u2", "r2", parent="a-r1"))
    later = await store.close_run(request)

    assert [a.status for a in (first, again, later)] == [
        AppendStatus.APPENDED,
        AppendStatus.DUPLICATE,
        AppendStatus.DUPLICATE,
    ]
    assert [a.next for a in (first, again, later)] == [1, 1, 1]
    state = await store.load(SESSION)
    assert state is not None
    assert (state.meta.active_run_id, state.meta.head_message_id) == ("r2", "u2")


async def test_close_after_its_last_chunks_were_appended_ends_the_run(store: RedisStore) -> None:
    """An append whose answer was lost and a close with the same batch store it once."""
    run = await opened(store)
    await store.append([batch(0, 2)])
    answer = await store.close_run(close(0, 2))
    entries = await store.read_run(SESSION, run.opened, count=10)

    assert (answer.status, answer.next) == (AppendStatus.APPENDED, 2)
    assert [entry.record for entry in entries[1:2]] == [chunks(0, 2)]
    assert len(entries) == 3


@pytest.mark.parametrize(("first", "count"), [(3, 1), (1, 2), (3, 0)])
async def test_close_with_a_gap_ends_nothing(store: RedisStore, first: int, count: int) -> None:
    """A close that skips or repeats chunks gets the sequence that is due."""
    await opened(store)
    await store.append([batch(0, 2)])
    answer = await store.close_run(close(first, count))

    assert (answer.status, answer.next) == (AppendStatus.GAP, 2)
    meta = await store.load_meta(SESSION)
    assert meta is not None
    assert meta.active_run_id == "r1"


async def test_close_after_a_take_over_is_fenced(store: RedisStore) -> None:
    """Only one of two producers ends the run; the other gets `fenced`."""
    await opened(store, submit(lease_ms=EXPIRED))
    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is not None
    old = await store.close_run(close(0))
    new = await store.close_run(close(0, fence=2, outcome=RunOutcome.INTERRUPTED))
    old_again = await store.close_run(close(0, outcome=RunOutcome.INTERRUPTED))

    assert [a.status for a in (old, new, old_again)] == [
        AppendStatus.FENCED,
        AppendStatus.APPENDED,
        AppendStatus.FENCED,
    ]


async def test_close_of_an_erased_session_is_gone(store: RedisStore) -> None:
    """There is nothing to end."""
    await opened(store)
    await store.erase(SESSION)

    assert (await store.close_run(close(0))).status is AppendStatus.GONE


async def test_close_removes_the_lease_hint(store: RedisStore, raw_redis: redis.Redis) -> None:
    """The reaper does not look at a run that has ended."""
    await opened(store, submit(lease_ms=EXPIRED))
    hinted = raw_redis.zrange(hint_of(store, "leases"), 0, -1)
    await store.close_run(close(0))

    assert hinted == [b"chat-1|r1"]
    assert raw_redis.zrange(hint_of(store, "leases"), 0, -1) == []
    assert await store.expired_leases(10) == []


async def test_close_trims_what_is_older_but_never_its_own_run(store: RedisStore) -> None:
    """A position in an earlier run is trimmed; this run's chunks can all be read again."""
    first = await answered(store)
    second = await opened(store, submit("u2", "r2", parent="a-r1"))
    await store.append([batch(0, run="r2")])
    await store.close_run(close(1, run="r2", trim_before_ms=now_ms() + HOUR_MS))
    entries = await store.read_run(SESSION, "0-0", count=100)

    assert first.opened < entries[0].offset
    assert entries[0].offset == second.opened
    assert len(entries) == 4
    assert first.position is not None
    assert not (await store.read_log(SESSION, first.position, count=10)).recovered


async def test_close_keeps_what_is_within_the_window(store: RedisStore) -> None:
    """Nothing is trimmed that is not older than asked."""
    await answered(store)
    await opened(store, submit("u2", "r2", parent="a-r1"))
    await store.close_run(close(0, run="r2", trim_before_ms=now_ms() - HOUR_MS))

    page = await store.read_log(SESSION, Position(EPOCH, "0-0"), count=100)
    assert page.recovered
    assert len(page.entries) == 10
