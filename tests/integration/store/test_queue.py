"""The queue: who takes an entry, what pauses it, and what becomes of each message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import NO_TENANT, MessageId
from midstream.store.calls import OpenRun, OpenStatus, StopStatus
from midstream.store.queue.calls import (
    ChangeEntry,
    ChangeStatus,
    Enqueue,
    Enqueued,
    EnqueueStatus,
)
from midstream.store.queue.state import QueueState
from midstream.store.records import QueueRecord, RunOutcome
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import QueueSettings, StoreSettings

from .scenario import (
    EPOCH,
    OWNER,
    SESSION,
    close,
    message,
    opened,
    regenerate,
    submit,
)

if TYPE_CHECKING:
    from midstream.store.queue.calls import EntryChange

pytestmark = pytest.mark.anyio

BY = b'{"id":"ada","kind":"person"}'


def entry(name: str, content: str = "hello", **changes: Any) -> Enqueue:
    made = Enqueue(
        session_id=SESSION,
        expected_owner=OWNER,
        expected_tenant=NO_TENANT,
        id=MessageId(name),
        message=Raw(b'{"id":"%b","text":"%b"}' % (name.encode(), content.encode())),
        content_hash=content,
        by=BY,
        facts=b"{}",
    )
    return replace(made, **changes)


async def queued(store: RedisStore, *names: str) -> None:
    for name in names:
        answer = await store.enqueue(entry(name))
        assert answer.status is EnqueueStatus.QUEUED


async def queue_of(store: RedisStore) -> QueueState:
    state = await store.load(SESSION, with_queue=True)
    assert state is not None
    assert state.meta.queued == tuple(each.id for each in state.queue.entries)
    return state.queue


async def order(store: RedisStore) -> list[str]:
    return [each.id for each in (await queue_of(store)).entries]


def run_of(name: str, run: str, *, parent: str) -> OpenRun:
    """The run of an entry, as whoever has taken it opens it."""
    request = submit(name, run, parent=parent)
    return replace(request, entry=MessageId(name), queue_rule="keep")


async def ends(
    store: RedisStore,
    run: str = "r1",
    asked: str = "u1",
    *,
    outcome: RunOutcome = RunOutcome.FINISHED,
    waits_for: str | None = None,
) -> str | None:
    """Close a run; return the entry that this takes."""
    answer = message(f"a-{run}", asked)
    request = close(0, run=run, outcome=outcome, answer=answer)
    closed = await store.close_run(replace(request, waits_for=waits_for))
    return closed.next_entry


async def change(store: RedisStore, name: str, how: EntryChange, **more: Any) -> ChangeStatus:
    request = ChangeEntry(session_id=SESSION, id=MessageId(name), how=how)
    return (await store.change_entry(replace(request, **more))).status


async def test_three_queued_messages_get_one_run_each_in_their_order(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2", "u3", "u4")
    assert await ends(store) == "u2"
    for turn, (name, after) in enumerate([("u2", "u3"), ("u3", "u4"), ("u4", None)], 2):
        await opened(store, run_of(name, f"r{turn}", parent=f"a-r{turn - 1}"))
        assert await ends(store, f"r{turn}", name) == after
    state = await store.load(SESSION)
    assert state is not None
    assert [m.id for m in state.path] == ["u1", "a-r1", "u2", "a-r2", "u3", "a-r3", "u4", "a-r4"]
    assert await queue_of(store) == QueueState()


async def test_message_is_queued_only_if_something_comes_before_it(store: RedisStore) -> None:
    open_ = Enqueued(status=EnqueueStatus.OPEN)
    assert await store.enqueue(entry("u1")) == open_, "there is no session"
    await opened(store)
    assert await store.enqueue(entry("u1")) == open_, "its run is under way"
    first = await store.enqueue(entry("u2"))
    assert (first.status, first.place) == (EnqueueStatus.QUEUED, 1)
    assert await store.enqueue(entry("u2")) == first, "the same again"
    other = await store.enqueue(entry("u2", "other words"))
    assert other.status is EnqueueStatus.CONFLICT
    edited = await store.enqueue(entry("u1", "other words"))
    assert edited.status is EnqueueStatus.CONFLICT, "an edit cannot be queued"
    foreign = await store.enqueue(replace(entry("u3"), expected_owner="bob"))
    assert foreign.status is EnqueueStatus.DENIED
    await ends(store)
    assert (await store.enqueue(entry("u3"))).place == 2, "behind the one that was taken"


async def test_queue_is_bounded_by_entries_bytes_and_waiting_responses(store: RedisStore) -> None:
    await opened(store)
    for name in ("w1", "w2", "w3"):
        assert (await store.enqueue(entry(name, has_reader=True))).place
    refused = await store.enqueue(entry("w4", has_reader=True))
    assert refused.status is EnqueueStatus.READERS
    others = await store.enqueue(entry("w5", has_reader=True, by=b'{"id":"bob"}'))
    assert others.status is EnqueueStatus.QUEUED
    assert await change(store, "w1", "unread") is ChangeStatus.CHANGED
    assert (await store.enqueue(entry("w4", has_reader=True))).place == 5
    large = await store.enqueue(replace(entry("big"), message=Raw(b'"%b"' % (b"x" * 1_048_500))))
    assert large.status is EnqueueStatus.FULL
    await queued(store, *(f"n{number}" for number in range(27)))
    assert (await store.enqueue(entry("u33"))).status is EnqueueStatus.FULL
    assert len(await order(store)) == 32


async def test_end_of_a_run_decides_whether_the_queue_goes_on(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2")
    assert await ends(store, outcome=RunOutcome.FAILED) is None
    assert (await queue_of(store)).paused == "failed"
    assert await store.take_entry(SESSION) is None
    await store.change_queue(SESSION, "resume")
    taken = await store.take_entry(SESSION)
    assert taken is not None
    assert taken.id == "u2"


async def test_interrupted_runs_pause_the_queue_only_after_three_in_a_row(
    store: RedisStore,
) -> None:
    await opened(store)
    await queued(store, "u2", "u3", "u4")
    assert await ends(store, outcome=RunOutcome.INTERRUPTED) == "u2"
    await opened(store, run_of("u2", "r2", parent="a-r1"))
    assert await ends(store, "r2", "u2", outcome=RunOutcome.INTERRUPTED) == "u3"
    await opened(store, run_of("u3", "r3", parent="a-r2"))
    assert await ends(store, "r3", "u3", outcome=RunOutcome.INTERRUPTED) is None
    queue = await queue_of(store)
    assert (queue.paused, [each.id for each in queue.entries]) == ("failed", ["u4"])


async def test_stop_of_a_person_pauses_and_the_next_send_resumes(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2")
    stop = await store.request_stop(
        SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=1000
    )
    assert stop.status is StopStatus.STOPPING
    assert (await queue_of(store)).paused == "stopped"
    assert await ends(store, outcome=RunOutcome.STOPPED) is None
    await opened(store, submit("u3", "r2", parent="a-r1"))
    queue = await queue_of(store)
    assert (queue.paused, [each.id for each in queue.entries]) == (None, ["u2"])
    assert await ends(store, "r2", "u3") == "u2"


@pytest.mark.parametrize("has_ended", [True, False])
async def test_queued_send_behind_a_stop_resumes_the_queue_in_order(
    store: RedisStore, *, has_ended: bool
) -> None:
    """Also between the stop and the end of the run that it stops."""
    await opened(store)
    await queued(store, "u2")
    await store.request_stop(SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=0)
    if has_ended:
        assert await ends(store, outcome=RunOutcome.STOPPED) is None
    late = await store.enqueue(entry("u3"))
    assert (late.status, late.place, late.is_due) == (EnqueueStatus.QUEUED, 2, has_ended)
    assert (await queue_of(store)).paused is None
    if not has_ended:
        assert await ends(store, outcome=RunOutcome.STOPPED) == "u2"
    taken = await store.take_entry(SESSION, MessageId("u2"))
    assert taken is not None
    assert taken.id == "u2"


async def test_send_behind_a_stop_waits_for_its_end_if_nothing_else_is_queued(
    store: RedisStore,
) -> None:
    await opened(store)
    await store.request_stop(SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=0)
    assert (await store.enqueue(entry("u2"))).status is EnqueueStatus.OPEN


async def test_run_that_gives_way_to_a_send_leaves_the_turn_to_it(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2")
    await store.request_stop(
        SESSION, run_id=None, message_id=None, by="interrupt", tombstone_ms=0, pauses=False
    )
    assert await ends(store, outcome=RunOutcome.STOPPED) is None
    assert (await queue_of(store)).paused is None
    await opened(store, submit("u3", "r2", parent="a-r1"))
    assert await order(store) == ["u2"]


async def test_stop_between_close_and_open_holds_back_the_entry_that_was_taken(
    store: RedisStore,
) -> None:
    await opened(store)
    await queued(store, "u2")
    assert await ends(store) == "u2"
    await store.request_stop(SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=0)
    late = await store.open_run(run_of("u2", "r2", parent="a-r1"))
    assert late.status is OpenStatus.WITHDRAWN
    assert (await queue_of(store)).paused == "stopped"
    assert await order(store) == ["u2"]


async def test_stop_that_names_an_entry_stops_what_comes_before_it(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2")
    stop = await store.request_stop(
        SESSION, run_id=None, message_id=MessageId("u2"), by="ada", tombstone_ms=60_000
    )
    assert (stop.status, stop.run_id) == (StopStatus.STOPPING, "r1")
    assert (await queue_of(store)).paused == "stopped"
    assert await ends(store, outcome=RunOutcome.STOPPED) is None
    idle = await store.request_stop(
        SESSION, run_id=None, message_id=MessageId("u2"), by="ada", tombstone_ms=60_000
    )
    assert idle.status is StopStatus.NOTHING, "and no tombstone"
    await store.change_queue(SESSION, "resume")
    assert await store.take_entry(SESSION) is not None
    answer = await store.open_run(run_of("u2", "r2", parent="a-r1"))
    assert (answer.status, answer.stop_requested) == (OpenStatus.OPENED, False)


async def test_taken_entry_comes_before_every_other_send(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2", "u3")
    assert await ends(store) == "u2"
    for name, sent in (("u2", submit("u2", "r9")), ("u4", submit("u4", "r9"))):
        assert (await store.open_run(sent)).status is OpenStatus.TAKEN, name
    second = await store.open_run(run_of("u3", "r9", parent="a-r1"))
    assert second.status is OpenStatus.WITHDRAWN
    first = await opened(store, run_of("u2", "r2", parent="a-r1"))
    assert await store.open_run(run_of("u2", "r2", parent="a-r1")) == replace(
        first, status=OpenStatus.KNOWN
    )
    assert await order(store) == ["u3"]


async def test_entry_of_a_process_that_died_is_taken_by_another_after_a_lease(
    store: RedisStore, redis_url: str
) -> None:
    await opened(store)
    await queued(store, "u2")
    assert await ends(store) == "u2"
    assert await store.take_entry(SESSION) is None, "it is the closing process's for a lease"
    assert await store.take_entry(SESSION, MessageId("u2")) is not None
    settings = StoreSettings(queue=QueueSettings(take_ms=1))
    async with RedisStore.connect(redis_url, settings=settings) as other:
        # Its leases are short: those that are longer are of before the clock went back.
        taken = await other.take_entry(SESSION)
    assert taken is not None
    assert taken.id == "u2"


async def test_message_that_waits_for_an_approval_holds_up_the_queue(store: RedisStore) -> None:
    await opened(store)
    assert await ends(store, waits_for="approval") is None
    answer = await store.enqueue(entry("u2"))
    assert (answer.status, answer.is_due) == (EnqueueStatus.QUEUED, False)
    assert (await queue_of(store)).waits_for == "approval"
    assert await store.take_entry(SESSION) is None
    await store.change_queue(SESSION, "now", MessageId("u2"))
    assert await store.take_entry(SESSION) is not None


async def test_entry_is_edited_moved_and_dropped_until_it_is_taken(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2", "u3", "u4")
    words = {"message": Raw(b'{"id":"u3","text":"new"}'), "content_hash": "new"}
    assert await change(store, "u3", "edit", if_version=1, **words) is ChangeStatus.CHANGED
    assert await change(store, "u3", "edit", if_version=1, **words) is ChangeStatus.CHANGED, "again"
    other = words | {"content_hash": "other"}
    assert await change(store, "u3", "edit", if_version=1, **other) is ChangeStatus.VERSION
    assert await change(store, "u4", "move", before=MessageId("u2")) is ChangeStatus.CHANGED
    assert await order(store) == ["u4", "u2", "u3"]
    assert await change(store, "u4", "move") is ChangeStatus.CHANGED
    assert await order(store) == ["u2", "u3", "u4"]
    assert await change(store, "u4", "drop") is ChangeStatus.CHANGED
    assert await change(store, "u4", "drop") is ChangeStatus.ABSENT
    assert await ends(store) == "u2"
    for how in ("edit", "move", "drop"):
        assert await change(store, "u2", how, **words) is ChangeStatus.TAKEN, how
    await change(store, "u3", "move", before=MessageId("u2"))
    assert await order(store) == ["u2", "u3"], "what is taken stays in front"
    await opened(store, run_of("u2", "r2", parent="a-r1"))
    late = await store.change_entry(ChangeEntry(session_id=SESSION, id=MessageId("u2"), how="drop"))
    assert (late.status, late.run_id) == (ChangeStatus.TAKEN, "r2")
    (left,) = (await queue_of(store)).entries
    assert (left.version, bytes(left.message)) == (2, b'{"id":"u3","text":"new"}')


async def test_entry_sent_now_comes_next_also_after_a_stop(store: RedisStore) -> None:
    await opened(store)
    await queued(store, "u2", "u3")
    changed = await store.change_queue(SESSION, "now", MessageId("u3"))
    assert changed.active_run_id == "r1"
    await store.request_stop(
        SESSION, run_id=changed.active_run_id, message_id=None, by="interrupt", tombstone_ms=0,
        pauses=False,
    )  # fmt: skip
    assert await ends(store, outcome=RunOutcome.STOPPED) == "u3"
    await opened(store, run_of("u3", "r2", parent="a-r1"))
    assert await order(store) == ["u2"]


async def test_edit_or_regeneration_sets_the_entries_aside_with_the_reason(
    store: RedisStore,
) -> None:
    await opened(store)
    await queued(store, "u2", "u3")
    await ends(store, outcome=RunOutcome.FAILED)
    await opened(store, replace(regenerate("u1", "r2"), queue_rule="clear"))
    queue = await queue_of(store)
    assert queue.entries == ()
    assert [(each.id, each.reason) for each in queue.unsent] == [
        ("u2", "conversation_changed"),
        ("u3", "conversation_changed"),
    ]
    assert (await store.enqueue(entry("u3"))).place == 1, "it was sent again"
    assert [each.id for each in (await queue_of(store)).unsent] == ["u2"]
    assert await change(store, "u2", "drop") is ChangeStatus.CHANGED
    assert (await queue_of(store)).unsent == ()


async def test_entry_that_cannot_be_answered_is_set_aside_and_the_next_one_taken(
    store: RedisStore,
) -> None:
    await opened(store)
    await queued(store, "u2", "u3")
    assert await ends(store) == "u2"
    assert await change(store, "u2", "fail", reason="agent_not_found") is ChangeStatus.CHANGED
    taken = await store.take_entry(SESSION)
    assert taken is not None
    assert taken.id == "u3"
    assert [each.reason for each in (await queue_of(store)).unsent] == ["agent_not_found"]


async def test_deletion_of_all_messages_and_of_the_session_takes_the_queue(
    store: RedisStore,
) -> None:
    await opened(store)
    await queued(store, "u2")
    await ends(store, outcome=RunOutcome.FAILED)
    await store.delete(SESSION, EPOCH, None)
    assert await queue_of(store) == QueueState()
    await opened(store, submit("u9", "r9"))
    await queued(store, "u2")
    await store.erase(SESSION)
    assert (await store.enqueue(entry("u3"))).status is EnqueueStatus.OPEN
    changed = await store.change_queue(SESSION, "clear")
    assert changed.status is ChangeStatus.ABSENT


async def test_followers_get_each_change_as_a_record(store: RedisStore) -> None:
    begun = await opened(store)
    assert begun.position is not None
    await queued(store, "u2", "u3")
    await change(store, "u3", "move", before=MessageId("u2"))
    await ends(store)
    await opened(store, run_of("u3", "r2", parent="a-r1"))
    page = await store.read_log(SESSION, begun.position, count=50)
    records = [each.record for each in page.entries if isinstance(each.record, QueueRecord)]
    assert [record.order for record in records] == [("u2",), ("u2", "u3"), ("u3", "u2"), ("u2",)]
    new = bytes(records[0].entry or b"")
    assert new.startswith(b'{"id":"u2","message":{"id":"u2","text":"hello"},"by":' + BY)
