"""Turns of queued messages: whoever closes a run opens the next entry's.

The close has taken the entry in the same step, and the store tells this process of it. If the
process dies then, or cannot open it, the hint of the queues brings the session to another one
after a lease. What a death leaves is opened at a pace: one process may leave hundreds.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.errors import (
    DrainingError,
    GatewayError,
    RunActiveError,
    StoreError,
    StoreUnavailableError,
)
from midstream.sessions.containment import contained, keep_running
from midstream.sessions.queue.entries import send_of
from midstream.store.queue.calls import ChangeEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.ids import MessageId, SessionId
    from midstream.sessions.draining import Draining
    from midstream.sessions.opening.due_turns import DueTurns
    from midstream.sessions.opening.start import Starting
    from midstream.sessions.types import RunHold
    from midstream.store.contract import SessionStore
    from midstream.store.queue.calls import EntryChange
    from midstream.store.queue.state import QueuedMessage

logger = logging.getLogger(__name__)

OPENED_AT_ONCE: Final = 8
LOOKED_AT_A_TICK: Final = 50
MAX_PACED: Final = 10_000
MAX_IN_A_ROW: Final = 40
"""Entries of one session that fail one after the other: more than a queue holds."""


class TurnLimits(Struct, frozen=True, kw_only=True):
    """Pace of the turns.

    Attributes:
        tick_s: how often queues are looked for whose process has died.
        resume_rate: runs a second that are opened where a process has died.
    """

    tick_s: float = 2.0
    resume_rate: float = 10.0


class QueueTurns:
    """Opens the runs of queued messages. One for each process; `run` is its task.

    Args:
        due: sessions that senders of this process wait for.
        adopt_hold: see `open_sessions`.
    """

    def __init__(
        self,
        store: SessionStore,
        starting: Starting,
        due: DueTurns,
        draining: Draining,
        limits: TurnLimits,
        adopt_hold: Callable[[bytes], RunHold | None],
    ) -> None:
        self._store = store
        self._starting = starting
        self._due = due
        self._draining = draining
        self._limits = limits
        self._adopt_hold = adopt_hold
        self._places = asyncio.Semaphore(OPENED_AT_ONCE)
        self._paced: dict[SessionId, MessageId] = {}
        self._some = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for name, work in (
                ("queue turns", self._after_closes),
                ("queue turns due", self._as_met),
                ("queue turns paced", self._at_a_pace),
                ("queue hints", self._by_hints),
            ):
                tasks.create_task(keep_running(name, work), name=name)

    async def _after_closes(self) -> None:
        while True:
            turn = await self._store.next_turn()
            if turn.after_death:
                self._pace(turn.session_id, turn.entry)
            else:
                await self._begin(turn.session_id, turn.entry)

    async def _as_met(self) -> None:
        while True:
            await self._begin(await self._due.next(), None)

    async def _at_a_pace(self) -> None:
        while True:
            await self._some.wait()
            session_id = next(iter(self._paced))
            entry = self._paced.pop(session_id)
            if not self._paced:
                self._some.clear()
            await self._begin(session_id, entry)
            await asyncio.sleep(1 / self._limits.resume_rate)

    async def _by_hints(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            if self._draining.started:
                continue
            with contained("queue hints", passes=(StoreUnavailableError,)):
                try:
                    for session_id in await self._store.due_queues(LOOKED_AT_A_TICK):
                        entry = await self._store.take_entry(session_id)
                        if entry is not None:
                            self._pace(session_id, entry.id)
                except StoreUnavailableError as error:
                    logger.info("queue_hints_wait reason=%s", error)

    def _pace(self, session_id: SessionId, entry: MessageId) -> None:
        if len(self._paced) < MAX_PACED:  # the hint leads to the others again
            self._paced[session_id] = entry
            self._some.set()

    async def _begin(self, session_id: SessionId, entry: MessageId | None) -> None:
        await self._places.acquire()
        task = self._tasks.create_task(
            self._take_turns(session_id, entry), name=f"queue turn {session_id}"
        )
        task.add_done_callback(lambda _: self._places.release())

    async def _take_turns(self, session_id: SessionId, entry: MessageId | None) -> None:
        """Open the run of the first entry that can be answered."""
        with contained("queue turn", session=session_id):
            try:
                for _ in range(MAX_IN_A_ROW):
                    if self._draining.started:
                        return  # its hint brings it to another gateway
                    queued = await self._store.take_entry(session_id, entry)
                    if queued is None or await self._open(session_id, queued):
                        return
                    entry = None
            except (StoreUnavailableError, DrainingError, RunActiveError) as error:
                logger.info("queue_turn_waits session=%s reason=%s", session_id, error)

    async def _open(self, session_id: SessionId, queued: QueuedMessage) -> bool:
        """Open an entry's run; False if it could not be answered, and was set aside.

        Raises:
            StoreUnavailableError, DrainingError, RunActiveError: its turn comes again.
        """
        try:
            caller, request, told = send_of(session_id, queued)
            hold = self._adopt_hold(told)
            if not await self._starting.begin_entry(caller, request, hold, queued.id):
                await self._change(session_id, queued.id, "answered", "")
        except (StoreError, DrainingError, RunActiveError):
            raise
        except (GatewayError, ValueError) as error:
            reason = error.code if isinstance(error, GatewayError) else GatewayError.code
            logger.warning(
                "queued_message_unsent session=%s message=%s reason=%r",
                *(session_id, queued.id, error),
            )
            await self._change(session_id, queued.id, "fail", reason)
            return False
        return True

    async def _change(
        self, session_id: SessionId, entry: MessageId, how: EntryChange, reason: str
    ) -> None:
        await self._store.change_entry(
            ChangeEntry(session_id=session_id, id=entry, how=how, reason=reason)
        )
