"""Earlier versions are shown again: in every tab, and to the model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from midstream.errors import MessageNotFoundError, RunActiveError, SessionNotFoundError
from midstream.ids import MessageId, SessionId
from midstream.sessions.types import Versions
from midstream.store.records import Trigger
from tests.integration.sessions.test_branches import answered, head, shown, text_of, two_turns
from tests.integration.sessions.test_deletions import Tab
from tests.support.played import ALICE, BOB, Reading, Script, send, user_message

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")


async def edited(sessions: Sessions, script: Script) -> tuple[MessageId, MessageId]:
    """Edit the second question and keep its id; return it, and the version before the edit."""
    await two_turns(sessions, script)
    whole = await shown(sessions)
    edit = send(S, *whole[:2], user_message("u2", "two, edited"), message_id=MessageId("u2"))
    assert await answered(sessions, script, edit) == "one | re: one | two, edited"
    first, second = (await sessions.snapshot(ALICE, S)).branches[MessageId("u2")].ids
    assert second == "u2"
    return MessageId("u2"), first


async def test_edit_that_keeps_its_id_keeps_the_question_before_it(
    sessions: Sessions, script: Script
) -> None:
    """As `sendMessage` of the AI SDK edits. A repeated send of the edit is no further version."""
    _, before = await edited(sessions, script)
    again = send(S, user_message("u2", "two, edited"), message_id=MessageId("u2"))
    await Reading(await sessions.start(ALICE, again)).end()
    assert await sessions.select(ALICE, S, before) == await head(sessions)
    assert list(map(text_of, await shown(sessions))) == ["one", "re: one", "two", "re: two"]
    branches = (await sessions.snapshot(ALICE, S)).branches
    assert branches == {before: Versions([before, MessageId("u2")], 0)}


async def test_tabs_at_both_gateways_follow_a_selection_and_the_model_reads_it(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """One snapshot each; a send of a tab that has not heard of it yet goes to the new end."""
    after, before = await edited(sessions, script)
    stale = await head(sessions)
    tabs = [Tab(sessions), Tab(other)]
    for tab in tabs:
        await tab.until("snapshot", 1)
    chosen = await sessions.select(ALICE, S, before)
    for tab in tabs:
        await tab.until("snapshot", 2)
        assert tab.snapshots()[1][-2:] == [before, chosen]
        assert tab.snapshots()[0][-2] == after

    behind = send(S, user_message("u3", "three"), parent_id=stale, head=stale)
    read = await answered(other, script, behind)
    assert read == "one | re: one | two | re: two | three"
    for tab in tabs:
        await tab.until("message", 2)
        assert len(tab.snapshots()) == 2
        await tab.close()


async def test_two_selections_at_once_leave_one_of_them_for_everybody(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    after, before = await edited(sessions, script)
    for _ in range(10):
        ends = await asyncio.gather(
            sessions.select(ALICE, S, after), other.select(ALICE, S, before)
        )
        assert await head(sessions) == await head(other)
        assert await head(sessions) in ends


async def test_selection_beside_an_answer_or_a_queue_is_refused_and_changes_nothing(
    sessions: Sessions, script: Script
) -> None:
    """What is shown already is no selection; after the end, the same request is taken."""
    _, before = await edited(sessions, script)
    last = await head(sessions)
    asked = send(S, user_message("u3", "three"), parent_id=last, head=last, on_active="queue")
    reading = Reading(await sessions.start(ALICE, asked))
    run = await script.next()
    with pytest.raises(RunActiveError) as refused:
        await sessions.select(ALICE, S, before)
    assert refused.value.details == {"runId": reading.run_id}
    assert await sessions.select(ALICE, S, MessageId("u2")) == "u3"

    queued = send(S, user_message("u4", "four"), on_active="queue")
    await sessions.start_unread(ALICE, queued)
    await sessions.stop(ALICE, S)
    await reading.end()
    assert run.cancelled
    with pytest.raises(RunActiveError, match="messages wait in the queue"):
        await sessions.select(ALICE, S, before)
    assert [entry.id for entry in (await sessions.snapshot(ALICE, S)).queue.entries] == ["u4"]
    await sessions.queues.clear(ALICE, S)
    await sessions.select(ALICE, S, before)


async def test_what_is_not_there_or_not_theirs_cannot_be_selected(
    sessions: Sessions, script: Script
) -> None:
    _, before = await edited(sessions, script)
    for caller, session, message in (
        (BOB, S, before),
        (ALICE, SessionId("another"), before),
    ):
        with pytest.raises(SessionNotFoundError):
            await sessions.select(caller, session, message)
    with pytest.raises(MessageNotFoundError):
        await sessions.select(ALICE, S, MessageId("nowhere"))
    await sessions.delete(ALICE, S, before)
    with pytest.raises(MessageNotFoundError):
        await sessions.select(ALICE, S, before)
    await sessions.erase(ALICE, S)
    with pytest.raises(SessionNotFoundError):
        await sessions.select(ALICE, S, before)


async def test_snapshot_beside_a_new_answer_names_those_that_follow_its_question(
    sessions: Sessions, script: Script
) -> None:
    """A tab that loads then counts as one that has followed from the start."""
    await two_turns(sessions, script)
    first = await head(sessions)
    assert (await sessions.snapshot(ALICE, S)).following is UNSET
    again = send(S, user_message("u2", "two"), trigger=Trigger.REGENERATE, message_id=first)
    reading = Reading(await sessions.start(ALICE, again))
    run = await script.next()
    assert (await sessions.snapshot(ALICE, S)).following == [first]
    run.open()
    run.tell("other")
    run.end()
    await reading.end()
    snapshot = await sessions.snapshot(ALICE, S)
    assert snapshot.following is UNSET
    assert [of.index for of in snapshot.branches.values()] == [1]
