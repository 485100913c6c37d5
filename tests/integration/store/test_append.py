from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import SessionId
from midstream.store.calls import AppendStatus
from midstream.store.records import ChunksRecord
from midstream.store.redis.store import RedisStore

from .scenario import (
    EXPIRED,
    HOUR_MS,
    SESSION,
    append_by_call,
    batch,
    chunks,
    close,
    key,
    opened,
    submit,
)

if TYPE_CHECKING:
    from midstream.store.calls import Appended

pytestmark = pytest.mark.anyio


async def stored(store: RedisStore, offset: str) -> list[ChunksRecord]:
    entries = await store.read_run(SESSION, offset, count=1_000)
    return [entry.record for entry in entries if isinstance(entry.record, ChunksRecord)]


async def test_append_stores_a_batch_and_says_where(store: RedisStore) -> None:
    """The answer holds the record's offset and the next sequence."""
    run = await opened(store)
    (answer,) = await store.append([batch(0, 3)])

    assert (answer.status, answer.next, answer.stopped_by) == (AppendStatus.APPENDED, 3, None)
    entries = await store.read_run(SESSION, run.opened, count=10)
    assert [entry.offset for entry in entries] == [run.opened, answer.offset]
    assert entries[1].previous == run.opened
    assert entries[1].record == chunks(0, 3)


async def test_append_of_many_runs_answers_in_order(store: RedisStore) -> None:
    """One call carries batches of several sessions, each with an answer of its own."""
    sessions = [SessionId(f"chat-{i}") for i in range(5)]
    for session in sessions:
        await opened(store, submit(session=session))
    answers = await store.append([batch(0, i + 1, session=s) for i, s in enumerate(sessions)])

    assert [answer.next for answer in answers] == [1, 2, 3, 4, 5]


async def test_append_sent_again_is_stored_once(store: RedisStore) -> None:
    """A batch whose first sequence is stored is answered as stored."""
    run = await opened(store)
    await store.append([batch(0, 2)])
    (again,) = await store.append([batch(0, 2)])

    assert (again.status, again.next) == (AppendStatus.DUPLICATE, 2)
    assert await stored(store, run.opened) == [chunks(0, 2)]


@pytest.mark.parametrize(("first", "count"), [(3, 1), (1, 2)])
async def test_append_with_a_gap_is_told_what_comes_next(
    store: RedisStore, first: int, count: int
) -> None:
    """A batch that skips, or that is only partly stored, is refused whole."""
    run = await opened(store)
    await store.append([batch(0, 2)])
    (answer,) = await store.append([batch(first, count)])

    assert (answer.status, answer.next) == (AppendStatus.GAP, 2)
    assert await stored(store, run.opened) == [chunks(0, 2)]


async def test_append_after_a_take_over_is_fenced(store: RedisStore) -> None:
    """The old producer's batches are refused, also those that were stored before."""
    run = await opened(store, submit(lease_ms=EXPIRED))
    await store.append([batch(0)])
    assert await store.take_over(SESSION, key().run_id, HOUR_MS) is not None
    old = await store.append([batch(0)]) + await store.append([batch(1)])
    (new,) = await store.append([batch(1, fence=2)])

    assert [answer.status for answer in old] == [AppendStatus.FENCED] * 2
    assert new.status is AppendStatus.APPENDED
    assert await stored(store, run.opened) == [chunks(0), chunks(1)]


async def test_append_after_the_end_is_fenced(store: RedisStore) -> None:
    """Nothing follows a run's terminal, also when another run has begun since."""
    await opened(store)
    await store.close_run(close(0))
    after_end = await store.append([batch(1)])
    await opened(store, submit("u2", "r2"))
    after_next = await store.append([batch(1)])

    assert [answer.status for answer in after_end + after_next] == [AppendStatus.FENCED] * 2


async def test_append_to_an_erased_session_is_gone(store: RedisStore) -> None:
    """The run is not in Redis any more, also when its session has begun again."""
    await opened(store)
    await store.erase(SESSION)
    erased = await store.append([batch(0)])
    await opened(store, submit("u2", "r2"))
    begun_again = await store.append([batch(0)])

    assert [answer.status for answer in erased + begun_again] == [AppendStatus.GONE] * 2


async def test_append_carries_a_pending_stop(store: RedisStore) -> None:
    """A producer learns of a stop by its next append."""
    await opened(store)
    await store.request_stop(SESSION, run_id=None, message_id=None, by="eve", tombstone_ms=0)
    (answer,) = await store.append([batch(0)])

    assert (answer.status, answer.stopped_by) == (AppendStatus.APPENDED, "eve")


async def test_append_keeps_any_payload(store: RedisStore) -> None:
    """The payload's bytes are the log's, whatever is in them."""
    run = await opened(store)
    odd = ChunksRecord(
        run_id=key().run_id, first=0, count=2, level=7, payload='{"d":"é\\n"}\n\n\x00'.encode()
    )
    await store.append([type(batch(0))(key=key(), chunks=odd)])

    assert await stored(store, run.opened) == [odd]


@given(order=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_reordered_and_repeated_appends_leave_the_log_in_sequence(
    redis_url: str, order: list[tuple[int, bool]]
) -> None:
    """However often, in whatever order and by whichever way batches arrive, each is stored once,
    in order."""

    async def main() -> None:
        async with RedisStore.connect(redis_url) as store:
            await store.erase(SESSION)
            run = await opened(store)
            answers: list[Appended] = []
            for i, by_call in order:
                sent = [batch(2 * i, 2)]
                answers += await (append_by_call(store, sent) if by_call else store.append(sent))
            expected = 0
            for (i, _), answer in zip(order, answers, strict=True):
                if i == expected:
                    assert answer.status is AppendStatus.APPENDED
                    expected += 1
                else:
                    late = AppendStatus.DUPLICATE if i < expected else AppendStatus.GAP
                    assert (answer.status, answer.next) == (late, 2 * expected)
            assert await stored(store, run.opened) == [chunks(2 * i, 2) for i in range(expected)]

    asyncio.run(main())
