"""Messages deleted beside readers, tabs and other gateways, and the events of each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.errors import (
    ForbiddenError,
    MessageNotFoundError,
    NotRecoveredError,
    RunActiveError,
    SessionNotFoundError,
)
from midstream.ids import MessageId, SessionId, UserId
from midstream.sessions.access import Caller, Role
from midstream.sessions.types import FeedEvent, FeedEventKind
from tests.integration.sessions.test_branches import answered, head, shown, two_turns
from tests.support.played import ALICE, BOB, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")


class Tab:
    """Follows the session's feed in a task."""

    def __init__(self, sessions: Sessions) -> None:
        self.events: list[FeedEvent] = []
        self._sessions = sessions
        self.task = asyncio.create_task(self._follow(), name="tab")

    async def _follow(self) -> None:
        async with await self._sessions.follow(ALICE, S, None) as reader:
            async for event in reader:
                if isinstance(event, FeedEvent) and event.event != "presence":
                    self.events.append(event)

    async def until(self, event: FeedEventKind, at_least: int) -> None:
        """Wait until so many of these have come."""
        await eventually(
            lambda: [each.event for each in self.events].count(event) >= at_least, event
        )

    def snapshots(self) -> list[list[str]]:
        """Return the ids of the messages in each snapshot."""
        return [
            [message["id"] for message in msgspec.json.decode(each.data)["messages"]]
            for each in self.events
            if each.event == "snapshot"
        ]

    async def close(self) -> None:
        """Follow no more."""
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_tabs_are_told_and_the_model_reads_it_no_more(
    sessions: Sessions, script: Script
) -> None:
    """The answer of the deleted question is shown to people only; the next one is as ever."""
    u1, a1, u2, a2 = [message.id for message in await two_turns(sessions, script)]
    tab = Tab(sessions)
    await tab.until("snapshot", 1)
    await sessions.delete(ALICE, S, MessageId(u2))
    await tab.until("snapshot", 2)
    assert tab.snapshots() == [[u1, a1, u2, a2], [u1, a1, a2]]

    whole = await shown(sessions)
    read = await answered(sessions, script, send(S, *whole, user_message("u3", "three")))
    assert read == "one | re: one | three"
    await tab.until("message", 2)
    assert len(tab.snapshots()) == 2
    await tab.close()


async def test_tab_that_has_not_heard_of_it_can_send(sessions: Sessions, script: Script) -> None:
    """Its list names what is gone: that places nothing, and is no forgery."""
    whole = await two_turns(sessions, script)
    for message in whole[2:]:
        await sessions.delete(ALICE, S, MessageId(message.id))
    read = await answered(sessions, script, send(S, *whole, user_message("u3", "three")))
    assert read == "one | re: one | three"


async def test_all_messages_are_gone_and_the_chat_goes_on(
    sessions: Sessions, script: Script
) -> None:
    """With a title of its own again."""
    whole = await two_turns(sessions, script)
    await sessions.delete(ALICE, S, None)
    await sessions.delete(ALICE, S, None)
    snapshot = await sessions.snapshot(ALICE, S)
    assert (snapshot.messages, snapshot.title) == ([], "")
    read = await answered(sessions, script, send(S, *whole, user_message("u3", "three")))
    assert read == "three"
    assert (await sessions.snapshot(ALICE, S)).title == "three"


async def test_chunks_of_a_deleted_answer_are_not_resumed(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """Neither from Redis nor from the gateways' memory of the run."""
    await answered(sessions, script, send(S, user_message("u1", "one"), request_key="k"))
    run = (await sessions.snapshot(ALICE, S)).runs[0].id
    tabs = [Tab(sessions), Tab(other)]
    for tab, gateway in zip(tabs, (sessions, other), strict=True):
        await tab.until("snapshot", 1)
        reader = await gateway.resume(ALICE, S, run_id=run, after=0)
        assert reader is not None
        assert "re: one" in str(await Reading(reader).end())
    await sessions.delete(ALICE, S, await head(sessions))
    for tab, gateway in zip(tabs, (sessions, other), strict=True):
        await tab.until("snapshot", 2)
        with pytest.raises(NotRecoveredError):
            await gateway.resume(ALICE, S, run_id=run, after=0)
        await tab.close()
    repeated = await sessions.start(ALICE, send(S, user_message("u1", "one"), request_key="k"))
    assert "re: one" not in str(await Reading(repeated).end())


async def test_answer_under_way_goes_on_beside_a_deletion(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """Its readers miss nothing; what it answers and writes cannot be deleted."""
    await answered(sessions, script, send(S, user_message("u1", "one")))
    whole = await shown(sessions)
    sent = Reading(await sessions.start(ALICE, send(S, *whole, user_message("u2", "two"))))
    run = await script.next()
    run.open()
    run.tell("be", "fore ")
    await sent.until(lambda r: r.text == "before ")
    reader = await other.resume(ALICE, S)
    assert reader is not None
    joined = Reading(reader)
    await joined.until(lambda r: r.text == "before ")

    for about in (MessageId("u2"), None):
        with pytest.raises(RunActiveError):
            await other.delete(ALICE, S, about)
    await other.delete(ALICE, S, MessageId(whole[1].id))
    run.tell("after")
    run.end()
    assert (await sent.end())[-4:] == (await joined.end())[-4:]
    assert (sent.text, joined.text) == ("before after", "before after")
    assert [message.id for message in await shown(sessions)][:2] == ["u1", "u2"]


async def test_deletion_asks_who_may(sessions: Sessions, script: Script) -> None:
    """The owner; for another there is no such session, and an observer may only read."""
    await answered(sessions, script, send(S, user_message("u1", "one")))
    observer = Caller(user=UserId("oscar"), tenant=ALICE.tenant, role=Role.OBSERVER)
    with pytest.raises(SessionNotFoundError):
        await sessions.delete(BOB, S, MessageId("u1"))
    with pytest.raises(ForbiddenError):
        await sessions.delete(observer, S, None)
    with pytest.raises(SessionNotFoundError):
        await sessions.delete(ALICE, SessionId("nowhere"), None)
    with pytest.raises(MessageNotFoundError):
        await sessions.delete(ALICE, S, MessageId("nowhere"))
    assert (await shown(sessions))[0].id == "u1"
