"""Several open runs in a session: one main run, and side runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.ids import MessageId, RunId
from midstream.store.calls import DeleteStatus, OpenStatus, StopStatus
from midstream.store.records import MessageRecord, RunOutcome, RunRecord, RunState

from .scenario import (
    EPOCH,
    EXPIRED,
    HOUR_MS,
    SESSION,
    answered,
    batch,
    close,
    key,
    message,
    opened,
    side,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio


async def test_side_run_moves_no_head_and_ends_no_run(store: RedisStore) -> None:
    """Its message hangs under the one that its parent run answers, marked, in no path."""
    await opened(store)
    await opened(store, side("s1"))
    await store.append([batch(0), batch(0, 2, run="s1")])
    await store.close_run(close(2, run="s1", answer=message("a-s1", "u1")))
    state = await store.load(SESSION)

    assert state is not None
    assert (state.meta.head_message_id, state.meta.active_run_id) == ("u1", "r1")
    assert [m.id for m in state.path] == ["u1"]
    off_path = state.off_path[MessageId("a-s1")]
    assert (off_path.parent_id, off_path.side) == ("u1", True)
    assert state.beside == ()
    assert state.run_next == 1


async def test_records_of_a_side_run_say_so(store: RedisStore) -> None:
    first = await opened(store)
    assert first.position is not None
    await opened(store, side("s1"))
    await store.close_run(close(0, run="s1", answer=message("a-s1", "u1")))
    page = await store.read_log(SESSION, first.position, count=10)

    told = [entry.record for entry in page.entries]
    assert [r.run.side for r in told if isinstance(r, RunRecord)] == [True, True]
    assert [r.side for r in told if isinstance(r, MessageRecord)] == [True]


async def test_ninth_side_run_is_refused_and_one_that_ends_makes_room(store: RedisStore) -> None:
    await opened(store)
    for i in range(8):
        await opened(store, side(f"s{i}"))
    assert (await store.open_run(side("s8"))).status is OpenStatus.FULL
    await store.close_run(close(0, run="s3"))
    assert (await store.open_run(side("s8"))).status is OpenStatus.OPENED


async def test_side_run_of_an_unknown_message_is_stale(store: RedisStore) -> None:
    """Also in a session that is not there (any more): nothing is begun."""
    assert (await store.open_run(side("s1"))).status is OpenStatus.STALE
    assert await store.load(SESSION) is None
    await opened(store, submit("u9"))
    assert (await store.open_run(side("s1"))).status is OpenStatus.STALE


async def test_main_run_ends_while_side_runs_go_on(store: RedisStore) -> None:
    """The next main run is opened beside them, and nothing of theirs is trimmed."""
    await opened(store)
    started = await opened(store, side("s1"))
    await store.append([batch(0, run="s1")])
    await store.close_run(close(0, answer=message("a-r1", "u1"), trim_before_ms=2**50))
    await answered(store, "u2", "r2", parent="a-r1")
    kept = await store.read_run(SESSION, started.opened, count=1)
    state = await store.load(SESSION)

    assert [entry.offset for entry in kept] == [started.opened]
    assert state is not None
    assert [found.run.id for found in state.beside] == ["s1"]
    assert state.meta.active_run_id is None
    assert (await store.append([batch(1, run="s1")]))[0].next == 2


async def test_stop_without_a_run_stops_all(store: RedisStore) -> None:
    await opened(store)
    await opened(store, side("s1"))
    await opened(store, side("s2", lease_ms=EXPIRED))
    answer = await store.request_stop(
        SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS
    )

    assert (answer.status, answer.run_id) == (StopStatus.STOPPING, "r1")
    assert [(each.status, each.run_id) for each in answer.beside] == [
        (StopStatus.STOPPING, "s1"),
        (StopStatus.ORPHAN, "s2"),
    ]


async def test_stop_of_the_question_stops_the_main_run_alone(store: RedisStore) -> None:
    """A side run answers the same message; its own names it."""
    await opened(store)
    await opened(store, side("s1"))
    for name, expected in (("u1", "r1"), ("a-s1", "s1")):
        answer = await store.request_stop(
            SESSION, run_id=None, message_id=MessageId(name), by="ada", tombstone_ms=HOUR_MS
        )
        assert (answer.run_id, answer.beside) == (expected, ())


async def test_dead_side_run_is_found_and_taken_over(store: RedisStore) -> None:
    """By its hint, and by whoever reads the log; the main run is left alone."""
    first = await opened(store)
    assert first.position is not None
    await opened(store, side("s1", lease_ms=EXPIRED))
    page = await store.read_log(SESSION, first.position, count=10)
    due = await store.expired_leases(10)
    taken = await store.take_over(SESSION, RunId("s1"), HOUR_MS)

    assert page.expired_run == "s1"
    assert due == [(SESSION, "s1")]
    assert taken is not None
    assert taken.key == key("s1", 2)
    closed = close(0, run="s1", fence=2, outcome=RunOutcome.INTERRUPTED)
    assert (await store.close_run(closed)).next == 1
    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is None


async def test_message_that_a_side_run_answers_or_writes_is_not_deleted(store: RedisStore) -> None:
    await answered(store)
    await opened(store, side("s1"))
    for name in ("u1", "a-s1", None):
        deletion = await store.delete(SESSION, EPOCH, MessageId(name) if name else None)
        assert (deletion.status, deletion.run_id) == (DeleteStatus.ACTIVE, "s1")
    assert (await store.delete(SESSION, EPOCH, MessageId("a-r1"))).status is DeleteStatus.DELETED
    assert (await store.append([batch(0, run="s1")]))[0].next == 1


async def test_erasure_returns_all_runs_and_leaves_nothing(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    await opened(store)
    await opened(store, side("s1"))
    assert await store.erase(SESSION) == ["r1", "s1"]
    assert list(raw_redis.scan_iter()) == []


async def test_session_that_lost_its_side_is_lost(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Otherwise, a run that no process can end would be shown for ever."""
    await opened(store)
    await opened(store, side("s1"))
    raw_redis.delete(f"ms:{{{SESSION}}}:side")
    assert await store.load(SESSION) is None


async def test_known_side_run_is_not_opened_again(store: RedisStore) -> None:
    await opened(store)
    await opened(store, side("s1", request_key="k"))
    again = await store.open_run(side("s2", request_key="k"))
    assert again.run is not None
    assert (again.status, again.run.id, again.run.state) == (
        OpenStatus.KNOWN,
        "s1",
        RunState.OPEN,
    )
