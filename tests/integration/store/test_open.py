from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from midstream.errors import StoreUnavailableError
from midstream.ids import MessageId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.calls import OpenStatus
from midstream.store.records import MessageRecord, RunOutcome, RunRecord, RunState

from .scenario import (
    EPOCH,
    EXPIRED,
    OWNER,
    SESSION,
    answered,
    close,
    message,
    now_ms,
    opened,
    regenerate,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio


async def test_first_send_opens_a_run_and_makes_the_session(store: RedisStore) -> None:
    """A send to a session that does not exist stores its message, its run and its facts."""
    answer = await store.open_run(submit())

    assert answer.status is OpenStatus.OPENED
    assert answer.run is not None
    assert answer.run.state is RunState.OPEN
    assert abs(answer.run.started_at_ms - now_ms()) < 60_000
    state = await store.load(SESSION)
    assert state is not None
    assert (state.meta.owner, state.meta.title) == (OWNER, "Greeting")
    assert (state.run, state.run_next) == (answer.run, 0)
    assert (state.meta.position, state.run_opened) == (answer.position, answer.opened)
    assert [m.id for m in state.path] == ["u1"]


async def test_open_logs_the_message_then_the_run(store: RedisStore) -> None:
    """A reader of the log meets the message before the run that answers it."""
    answer = await opened(store)
    page = await store.read_log(SESSION, Position(EPOCH, "0-0"), count=10)

    said, began = page.entries
    assert isinstance(said.record, MessageRecord)
    assert (said.record.id, said.record.run_id) == ("u1", "r1")
    assert bytes(said.record.message) == bytes(message("u1").message)
    assert answer.run is not None
    assert began.record == RunRecord(run=answer.run)
    assert began.offset == answer.opened


@pytest.mark.parametrize(
    ("owner", "tenant"), [("eve", ""), ("ada", "acme"), ("eve", "acme")], ids=str
)
async def test_open_refuses_another_owners_session(
    store: RedisStore, owner: str, tenant: str
) -> None:
    """The owner has changed since the caller read it.

    The answer tells nothing, and nothing is changed.
    """
    await answered(store)
    answer = await store.open_run(submit("u2", "r2", owner=UserId(owner), tenant=TenantId(tenant)))

    assert (answer.status, answer.run) == (OpenStatus.DENIED, None)
    state = await store.load(SESSION)
    assert state is not None
    assert (state.meta.last_run_id, state.meta.head_message_id) == ("r1", "a-r1")


async def test_same_send_is_known_while_its_run_is_active(store: RedisStore) -> None:
    """A message that arrives twice gets one run."""
    first = await opened(store)
    again = await store.open_run(submit(run="r2"))

    assert (again.status, again.run) == (OpenStatus.KNOWN, first.run)


async def test_same_send_is_known_after_its_run_finished(store: RedisStore) -> None:
    """A retry after the answer gets that answer's run, also when others came since."""
    await answered(store)
    await answered(store, "u2", "r2", parent="a-r1")
    again = await store.open_run(submit(run="r3"))

    assert again.status is OpenStatus.KNOWN
    assert again.run is not None
    assert (again.run.id, again.run.outcome) == ("r1", RunOutcome.FINISHED)


@pytest.mark.parametrize("outcome", [RunOutcome.STOPPED, RunOutcome.FAILED, RunOutcome.INTERRUPTED])
async def test_same_send_opens_again_after_its_run_did_not_finish(
    store: RedisStore, outcome: RunOutcome
) -> None:
    """After a stop or a failure the same send is a retry."""
    await answered(store, outcome=outcome)
    again = await store.open_run(submit(run="r2"))

    assert again.status is OpenStatus.OPENED


async def test_same_message_with_other_content_is_an_edit(store: RedisStore) -> None:
    """An edit opens a new run, and the new content replaces the old."""
    await answered(store)
    edited = await store.open_run(submit(run="r2", content="bye"))

    assert edited.status is OpenStatus.OPENED
    state = await store.load(SESSION)
    assert state is not None
    assert [(m.id, m.content_hash, m.run_id) for m in state.path] == [("u1", "bye", "r2")]
    assert state.off_path.keys() == {"a-r1"}


async def test_known_request_key_never_opens_a_second_run(store: RedisStore) -> None:
    """A send with a key that was seen is that send, whatever its run became."""
    await opened(store, submit(request_key="k"))
    await store.close_run(close(0, outcome=RunOutcome.FAILED))
    again = await store.open_run(submit(run="r2", request_key="k"))

    assert again.status is OpenStatus.KNOWN
    assert again.run is not None
    assert again.run.id == "r1"
    assert await store.run_of_request(SESSION, "k") == "r1"
    assert await store.run_of_request(SESSION, "l") is None


async def test_regenerate_is_known_by_its_key_only(store: RedisStore) -> None:
    """Asking twice for another answer gives two, unless the key says it is one request."""
    await answered(store)
    await opened(store, regenerate("u1", "r2", request_key="k"))
    known = await store.open_run(regenerate("u1", "r3", request_key="k"))
    await store.close_run(close(0, run="r2"))
    another = await store.open_run(regenerate("u1", "r4", request_key="l"))

    assert (known.status, another.status) == (OpenStatus.KNOWN, OpenStatus.OPENED)


async def test_regenerate_takes_the_old_answer_off_the_path(store: RedisStore) -> None:
    """The message that is answered again is the head, and names its new run."""
    await answered(store)
    await opened(store, regenerate("u1", "r2"))
    state = await store.load(SESSION)

    assert state is not None
    assert [(m.id, m.run_id) for m in state.path] == [("u1", "r2")]
    assert state.off_path.keys() == {"a-r1"}


async def test_continuation_replaces_the_answer_and_stays_on_it(store: RedisStore) -> None:
    """Tool results come in the assistant's message, which stays the head."""
    await answered(store)
    with_results = message("a-r1", "u1", "with results")
    request = replace(
        regenerate("u1", "r2"),
        replaced_message=with_results,
        run=replace(regenerate("u1", "r2").run, message_id=MessageId("a-r1"), continues=True),
    )
    answer = await store.open_run(request)

    assert answer.run is not None
    assert answer.run.continues
    state = await store.load(SESSION)
    assert state is not None
    assert [(m.id, m.run_id) for m in state.path] == [("u1", "r2"), ("a-r1", "r2")]
    assert bytes(state.path[1].message) == bytes(with_results.message)


async def test_open_finds_another_run_active(store: RedisStore) -> None:
    """A session has one main run at a time: the second send gets the first run."""
    first = await opened(store)
    second = await store.open_run(submit("u2", "r2"))

    assert (second.status, second.run) == (OpenStatus.ACTIVE, first.run)


@pytest.mark.parametrize("name", ["u1", "u2"])
async def test_open_finds_an_orphan(store: RedisStore, name: str) -> None:
    """A run whose lease has expired is an orphan, for its own send and for another."""
    await opened(store, submit(lease_ms=EXPIRED))
    second = await store.open_run(submit(name, "r2"))

    assert second.status is OpenStatus.ORPHAN
    assert second.run is not None
    assert second.run.id == "r1"


async def test_open_is_stale_when_the_log_has_moved(store: RedisStore) -> None:
    """The caller decides again on the newer state."""
    first = await answered(store)
    assert first.position is not None
    late = await store.open_run(submit("u2", "r2", expected_offset=first.position.offset))

    assert late.status is OpenStatus.STALE
    assert late.position is not None
    now = late.position.offset
    in_time = await store.open_run(submit("u2", "r2", expected_offset=now))
    assert in_time.status is OpenStatus.OPENED


async def test_open_is_stale_when_the_session_has_gone(store: RedisStore) -> None:
    """The caller saw a session that does not exist any more."""
    answer = await store.open_run(submit(expected_offset="17-0"))

    assert (answer.status, answer.position) == (OpenStatus.STALE, None)
    assert await store.load(SESSION) is None


async def test_racing_opens_get_one_run(store: RedisStore) -> None:
    """Of sends that arrive at once one opens a run, and the others are told of it."""
    answers = await asyncio.gather(*(store.open_run(submit(f"u{i}", f"r{i}")) for i in range(10)))
    winners = [answer.run for answer in answers if answer.status is OpenStatus.OPENED]
    losers = [answer.run for answer in answers if answer.status is OpenStatus.ACTIVE]

    assert len(winners) == 1
    assert losers == winners * 9


async def test_open_leaves_nothing_of_a_half_evicted_session(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A session that lost its facts begins anew: nothing of the old epoch is found in it."""
    await answered(store)
    raw_redis.delete(f"ms:{{{SESSION}}}:meta")
    await opened(store, submit("u2", "r2"))
    state = await store.load(SESSION)

    assert state is not None
    assert ([m.id for m in state.path], state.off_path) == (["u2"], {})
    page = await store.read_log(SESSION, Position(EPOCH, "0-0"), count=10)
    assert page.recovered
    assert len(page.entries) == 2


async def test_full_redis_refuses_a_new_session_before_it_has_written_anything(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """A script whose first write frees memory would be let through, and its hints refused."""
    await opened(store, submit(session=SessionId("before")))
    raw_redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailableError):
            await store.open_run(submit())
    finally:
        raw_redis.config_set("maxmemory", 0)

    assert raw_redis.keys(f"ms:{{{SESSION}}}:*") == []
