"""Turns of queued messages: at once after a close, at a pace after a death, and past what fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream.errors import AgentNotFoundError, RunActiveError
from midstream.ids import MessageId, SessionId
from midstream.sessions.access import Caller
from midstream.sessions.draining import Draining
from midstream.sessions.opening.due_turns import DueTurns
from midstream.sessions.queue.entries import sender_of
from midstream.sessions.queue.turns import QueueTurns, TurnLimits
from midstream.store.queue.calls import Changed, ChangeEntry, ChangeStatus, Turn
from midstream.store.queue.state import QueuedMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

MESSAGE = b'{"id":"%b","role":"user","parts":[{"type":"text","text":"Hi"}]}'
SLOW = TurnLimits(tick_s=0.01, resume_rate=0.001)


def queued(name: str, facts: bytes = b'{"user":"ann"}') -> QueuedMessage:
    return QueuedMessage(
        id=MessageId(name),
        version=1,
        content_hash="h",
        at_ms=1,
        by=Raw(sender_of(Caller(), Caller().tenant)),
        facts=Raw(facts),
        message=Raw(MESSAGE % name.encode()),
    )


class Queues:
    """A store that has queues alone: the first entry of each is to be taken."""

    def __init__(self, entries: dict[str, list[QueuedMessage]]) -> None:
        self.entries = entries
        self.turns: asyncio.Queue[Turn] = asyncio.Queue()
        self.due: list[SessionId] = []
        self.changes: list[tuple[str, str, str]] = []

    async def next_turn(self) -> Turn:
        return await self.turns.get()

    async def due_queues(self, limit: int) -> list[SessionId]:
        due, self.due = self.due, []
        return due

    async def take_entry(
        self, session_id: SessionId, mine: MessageId | None = None
    ) -> QueuedMessage | None:
        return next(iter(self.entries.get(session_id, ())), None)

    async def change_entry(self, request: ChangeEntry) -> Changed:
        self.changes.append((request.id, request.how, request.reason))
        self.entries[request.session_id].pop(0)
        return Changed(status=ChangeStatus.CHANGED)


class Starts:
    """Opens runs: says which, or fails as a test wants."""

    def __init__(self, **failures: Exception) -> None:
        self.opened: list[tuple[str, str]] = []
        self.failures = failures
        self.known: set[str] = set()

    async def begin_entry(self, caller: Any, request: Any, hold: Any, entry: MessageId) -> bool:
        if entry in self.failures:
            raise self.failures[entry]
        self.opened.append((request.session_id, entry))
        return entry not in self.known


@asynccontextmanager
async def turning(
    store: Queues, starts: Starts, draining: Draining | None = None, limits: TurnLimits = SLOW
) -> AsyncIterator[DueTurns]:
    due = DueTurns()
    turns = QueueTurns(
        store,  # type: ignore[arg-type]
        starts,  # type: ignore[arg-type]
        due,
        draining or Draining(),
        limits,
        lambda _: None,
    )
    task = asyncio.create_task(turns.run(), name="turns")
    try:
        yield due
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - several tasks bring it about
            await asyncio.sleep(0.001)


async def test_turns_after_a_death_wait_for_their_pace_and_others_do_not() -> None:
    names = ("s1", "s2", "s3", "own", "met")
    store, starts = Queues({name: [queued("u")] for name in names}), Starts()
    async with turning(store, starts) as due:
        for name in ("s1", "s2", "s3"):
            store.turns.put_nowait(Turn(SessionId(name), MessageId("u"), True))
        store.turns.put_nowait(Turn(SessionId("own"), MessageId("u"), False))
        due.meet(SessionId("met"))
        await until(lambda: len(starts.opened) >= 3)
        assert {session for session, _ in starts.opened} == {"s1", "own", "met"}


async def test_session_that_a_hint_names_is_taken_and_opened() -> None:
    store, starts = Queues({"s": [queued("u")]}), Starts()
    store.due = [SessionId("s"), SessionId("empty")]
    async with turning(store, starts):
        await until(lambda: starts.opened == [("s", "u")])


async def test_entry_that_cannot_be_answered_is_set_aside_and_the_next_one_opened() -> None:
    entries = [queued("gone"), queued("unread", b"{}"), queued("good")]
    store = Queues({"s": entries})
    starts = Starts(gone=AgentNotFoundError("unable to find the agent"))
    async with turning(store, starts) as due:
        due.meet(SessionId("s"))
        await until(lambda: bool(starts.opened))
    assert store.changes == [
        ("gone", "fail", "agent_not_found"),
        ("unread", "fail", "internal_error"),
    ]
    assert starts.opened == [("s", "good")]


async def test_entry_whose_message_has_a_run_already_leaves_the_queue() -> None:
    store, starts = Queues({"s": [queued("u")]}), Starts()
    starts.known = {"u"}
    async with turning(store, starts) as due:
        due.meet(SessionId("s"))
        await until(lambda: bool(store.changes))
    assert store.changes == [("u", "answered", "")]


@pytest.mark.parametrize("is_draining", [True, False])
async def test_entry_stays_while_a_run_is_active_or_the_process_shuts_down(
    *, is_draining: bool
) -> None:
    draining = Draining()
    draining.started = is_draining
    store = Queues({"s": [queued("u")], "last": [queued("v")]})
    starts = Starts(u=RunActiveError("another"))
    seen: list[SessionId] = []
    take = store.take_entry

    async def noted(session_id: SessionId, mine: MessageId | None = None) -> QueuedMessage | None:
        seen.append(session_id)
        return await take(session_id, mine)

    store.take_entry = noted  # type: ignore[method-assign]
    async with turning(store, starts, draining) as due:
        due.meet(SessionId("s"))
        if is_draining:
            await until(lambda: not due._met)
            for _ in range(5):  # for the task that would take it
                await asyncio.sleep(0)
            assert seen == []
        else:
            await until(lambda: seen == ["s"])
    assert store.changes == []
    assert starts.opened == []
