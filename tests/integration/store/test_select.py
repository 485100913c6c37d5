"""Another version of a message is shown, and an edit keeps what was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import MessageId, RunId
from midstream.store.calls import SelectStatus, StopStatus
from midstream.store.records import MessageRecord, SelectedRecord

from .scenario import (
    EPOCH,
    EXPIRED,
    SESSION,
    answered,
    close,
    message,
    opened,
    regenerate,
    side,
    submit,
)
from .test_delete import delete, path, state, two_turns
from .test_queue import entry

if TYPE_CHECKING:
    from midstream.store.calls import OpenRun, Selection
    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio


async def select(store: RedisStore, name: str, epoch: str = EPOCH) -> Selection:
    """Select a message."""
    return await store.select(SESSION, epoch, MessageId(name), by="ada")


async def answer_again(store: RedisStore, name: str, run: str) -> None:
    """Have a question answered once more."""
    await opened(store, regenerate(name, run))
    await store.close_run(close(0, run=run, answer=message(f"a-{run}", name)))


async def tree(store: RedisStore) -> None:
    """Two turns, another second question, and another answer to the first second one."""
    await two_turns(store)
    await answered(store, "u2b", "r3", parent="a-r1")
    await answer_again(store, "u2", "r4")
    await answered(store, "v1", "r5")


@pytest.mark.parametrize(
    ("selected", "shown"),
    [
        ("u2", ["u1", "a-r1", "u2", "a-r4"]),
        ("u1", ["u1", "a-r1", "u2", "a-r4"]),
        ("a-r2", ["u1", "a-r1", "u2", "a-r2"]),
        ("u2b", ["u1", "a-r1", "u2b", "a-r3"]),
        ("a-r3", ["u1", "a-r1", "u2b", "a-r3"]),
        ("v1", ["v1", "a-r5"]),
    ],
)
async def test_newest_message_below_the_selected_one_is_the_end(
    store: RedisStore, selected: str, shown: list[str]
) -> None:
    """The same again changes nothing, and is answered as before."""
    await tree(store)
    first = await select(store, selected)
    assert (first.status, first.head) == (SelectStatus.SELECTED, shown[-1])
    assert await path(store) == shown
    before = (await state(store)).meta.position
    assert await select(store, selected) == first
    assert (await state(store)).meta.position == before


async def test_message_that_is_shown_leaves_what_follows_it(store: RedisStore) -> None:
    """Also if there is a newer version of that."""
    await tree(store)
    await select(store, "a-r2")
    assert (await select(store, "u2")).head == "a-r2"


async def test_selection_is_a_record_that_follows_nothing(store: RedisStore) -> None:
    """Readers from before it begin again; what the log held is kept."""
    await tree(store)
    before = (await state(store)).meta.position
    await select(store, "u2b")
    assert not (await store.read_log(SESSION, before, count=100)).recovered
    (*earlier, entry) = await store.read_run(SESSION, "-", count=100)
    assert entry.record == SelectedRecord(id=MessageId("u2b"), head=MessageId("a-r3"), by="ada")
    assert entry.begins_again
    assert not any(each.begins_again for each in earlier)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("nowhere", SelectStatus.ABSENT),
        ("a-r9", SelectStatus.ABSENT),
        ("u2b", SelectStatus.DELETED),
    ],
    ids=["unknown", "of a side run", "deleted"],
)
async def test_what_cannot_be_shown_is_not_selected(
    store: RedisStore, name: str, status: SelectStatus
) -> None:
    await tree(store)
    await opened(store, side("r9"))
    await store.close_run(close(0, run="r9", answer=message("a-r9", "u1")))
    await delete(store, "u2b")
    before = (await state(store)).meta.position
    assert (await select(store, name)).status is status
    assert (await select(store, "u1", "another epoch")).status is SelectStatus.GONE
    assert (await state(store)).meta.position == before


async def test_selection_waits_for_the_run_and_for_the_queue(store: RedisStore) -> None:
    """What is shown already is answered at any time. A side run is in nobody's way."""
    await tree(store)
    await opened(store, side("r8"))
    assert (await select(store, "u2b")).status is SelectStatus.SELECTED
    await opened(store, submit("u3", "r6", parent="a-r3"))
    refused = await select(store, "u2")
    assert (refused.status, refused.run_id) == (SelectStatus.ACTIVE, "r6")
    assert (await select(store, "u2b")).head == "u3"
    await store.enqueue(replace(entry("q1"), session_id=SESSION))
    stop = await store.request_stop(
        SESSION, run_id=RunId("r6"), message_id=None, by="ada", tombstone_ms=0
    )
    assert stop.status is StopStatus.STOPPING
    await store.close_run(close(0, run="r6", answer=message("a-r6", "u3")))
    assert (await select(store, "u2")).status is SelectStatus.QUEUED
    await store.change_queue(SESSION, "clear")
    assert (await select(store, "u2")).status is SelectStatus.SELECTED

    await opened(store, replace(submit("u4", "r7", parent="a-r4"), lease_ms=EXPIRED))
    assert (await select(store, "v1")).status is SelectStatus.ORPHAN


async def test_deletions_leave_what_can_be_selected(store: RedisStore) -> None:
    """What followed a deleted message is a version beside it."""
    await tree(store)
    await delete(store, "u2")
    assert (await select(store, "a-r2")).head == "a-r2"
    assert await path(store) == ["u1", "a-r1", "a-r2"]
    assert (await select(store, "u2b")).head == "a-r3"


async def edit(store: RedisStore, name: str, run: str, content: str, kept: str) -> OpenRun:
    """Edit a message, and keep its id; return the request."""
    found = await state(store, name)
    old = found.path[-1]
    request = replace(
        submit(name, run, parent=old.parent_id, content=content),
        expected_offset=found.meta.position.offset,
        earlier=replace(
            message(kept, old.parent_id, old.content_hash),
            message=Raw(old.message),
        ),
    )
    await opened(store, request)
    await store.close_run(close(0, run=run, answer=message(f"a-{run}", name)))
    return request


async def test_edit_in_place_keeps_the_message_before_it_with_its_answers(
    store: RedisStore,
) -> None:
    """The edit is the newest version, though it has the older id; so is the next edit."""
    await two_turns(store)
    before = (await state(store)).meta.position
    request = await edit(store, "u1", "r3", "better", "was1")
    assert await path(store) == ["u1", "a-r3"]
    assert await path(store, "a-r2") == ["was1", "a-r1", "u2", "a-r2"]
    assert not (await store.read_log(SESSION, before, count=100)).recovered
    await store.open_run(request)
    assert await path(store, "a-r2") == ["was1", "a-r1", "u2", "a-r2"]

    await edit(store, "u1", "r4", "best", "was2")
    found = await state(store)
    assert found.path[0].order > found.off_path[MessageId("was2")].order
    assert found.off_path[MessageId("was2")].order > found.off_path[MessageId("was1")].order
    assert found.path[0].run_id == "r4"
    (was,) = (await state(store, "was1")).path
    assert (was.content_hash, was.run_id) == ("hello", "r1")

    assert (await select(store, "was1")).head == "a-r2"
    assert (await select(store, "u1")).head == "a-r4"
    first = next(
        each
        for each in await store.read_run(SESSION, before.offset, count=100)
        if isinstance(each.record, MessageRecord) and each.offset > before.offset
    )
    assert first.begins_again
