"""A session's records as one process receives them: each once, in order, or a reset.

The channel may lose, repeat and reorder what it brings; the log does not. A record is
delivered only if it names the last delivered one as its predecessor. Otherwise the log is
read after that one; and if that cannot be done (trimmed, erased, another epoch), the feed
starts again from the session's state: a reset.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError
from midstream.protocol.position import Position
from midstream.sessions.containment import Quarantine
from midstream.sessions.log.feed_events import feed_event
from midstream.sessions.log.run_view import RunView
from midstream.sessions.log.stored_run import PAGE_RECORDS
from midstream.sessions.log.tail import Tail
from midstream.sessions.places import has
from midstream.sessions.sentences import run_not_found
from midstream.store.records import (
    ChunksRecord,
    ErasedRecord,
    LogEntry,
    PresenceRecord,
    QueueRecord,
    RunRecord,
    RunState,
    SessionState,
    SteerRecord,
)

if TYPE_CHECKING:
    from msgspec import Raw

    from midstream.ids import MessageId, RunId, SessionId
    from midstream.sessions.log.live_runs import LiveRuns
    from midstream.sessions.log.orphans import Orphans
    from midstream.sessions.types import FeedEvent
    from midstream.store.contract import SessionStore
    from midstream.store.records import LoadedRun, RunInfo

logger = logging.getLogger(__name__)

STEERED_KEPT: Final = 64
"""Outcomes of steers kept for those who wait for them."""

RING_ENTRIES: Final = 512
"""Records kept for followers of the session feed; one further behind reads the log."""


class Feed:
    """One session, for all its readers in this process.

    Attributes:
        head: the position of the last delivered record; None while there is no session.
        runs: the runs met since the feed began, newest last; readers keep older ones.
        generation: counts resets: a follower that has seen another one needs a snapshot.
        entries: the newest records, oldest first; None without followers.
        followers: readers of the records themselves (not of a run).
        queued: the entries of the queue, by id.
        waiting: the steers that wait, by id.
        steered: the newest outcomes of steers, as the log has them.
        present: who has the session open, as last heard; None before that.
        erased_at: the generation that began with the session's deletion; None if none did.
    """

    def __init__(
        self,
        store: SessionStore,
        session_id: SessionId,
        orphans: Orphans | None = None,
        live_runs: LiveRuns | None = None,
    ) -> None:
        self.session_id = session_id
        self._orphans = orphans
        self._live_runs = live_runs
        self.head: Position | None = None
        self.runs: dict[RunId, RunView] = {}
        self.generation = 0
        self.entries: deque[LogEntry] | None = None
        self.followers = 0
        self.queued: tuple[MessageId, ...] = ()
        self.waiting: set[MessageId] = set()
        self.steered: dict[MessageId, str] = {}
        self.present: Raw | None = None
        self.erased_at: int | None = None
        self.pulse: Tail[FeedEvent, Position] = Tail()
        self._store = store
        self._behind = False
        self._catching_up: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._failing: Quarantine[SessionId] = Quarantine("catch-up")

    # -- what the channel brings ----------------------------------------------------------

    def receive(self, entry: LogEntry) -> None:
        """Take an entry from the channel: deliver it, drop it, or read the log."""
        if isinstance(entry.record, ErasedRecord):
            self._reset(None)
            self.erased_at = self.generation
            return
        if isinstance(entry.record, PresenceRecord):
            self.present = entry.record.here
            self.pulse.send()
            return
        if self.head is not None:
            if entry.previous == self.head.offset:
                self._deliver(entry)  # also while the log is read: else each would ask for it again
                return
            if self._has_delivered(entry):
                return
        self.check()

    def check(self) -> None:
        """Compare with the log, now or after the comparison that is under way."""
        self._behind = True
        if self._catching_up is None and self._failing.admits(self.session_id):
            self._catching_up = asyncio.create_task(
                self._catch_up(), name=f"catch-up {self.session_id}"
            )

    async def load(self) -> SessionState | None:
        """Begin, or begin again, from the session's state."""
        async with self._lock:
            state = await self._store.load(self.session_id)
            if not self._has_reached(state):
                self._reset(state)
            self._look_at_lease(state)
            return state

    def _has_reached(self, state: SessionState | None) -> bool:
        """Whether the delivered records include `state`: records arrive while it is read."""
        if self.head is None or state is None:
            return False
        position = state.meta.position
        return position.epoch == self.head.epoch and _order(position.offset) <= _order(
            self.head.offset
        )

    def _has_delivered(self, entry: LogEntry) -> bool:
        return self.head is not None and _order(entry.offset) <= _order(self.head.offset)

    async def close(self) -> None:
        """End the catch-up, if one is under way."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait({self._catching_up})

    async def _catch_up(self) -> None:
        try:
            while self._behind:
                self._behind = False
                async with self._lock:
                    await self._read_on()
        except StoreUnavailableError as error:
            # The next audit, or the channel's reconnection, asks again.
            logger.info("catch_up_failed session=%s reason=%s", self.session_id, error)
        except Exception as error:
            # So does it of one that cannot be read now.
            self._failing.failed(self.session_id, error, session=self.session_id)
        else:
            self._failing.succeeded(self.session_id)
        finally:
            self._catching_up = None

    async def _read_on(self) -> None:
        while self.head is not None:
            generation = self.generation
            page = await self._store.read_log(self.session_id, self.head, count=PAGE_RECORDS)
            if generation != self.generation:
                continue  # it began anew meanwhile
            if page.expired_run is not None:
                self._meet(page.expired_run)
            if not page.recovered:
                break
            if any(entry.begins_again for entry in page.entries):
                break  # what is kept here may hold what was deleted
            for entry in page.entries:
                if not self._has_delivered(entry):
                    self._deliver(entry)
            if len(page.entries) < PAGE_RECORDS:
                for run in self.runs.values():
                    self.hear_of(run.info.id, silent=run.info.id in page.silent_runs)
                return
        state = await self._store.load(self.session_id)
        # A run may be open here of a session of which nothing was read before Redis lost it.
        if state is not None or self.head is not None or self._has_open_run():
            self._reset(state)
        self._look_at_lease(state)

    def hear_of(self, run_id: RunId, *, silent: bool) -> None:
        """Take whether another attempt at a run is awaited."""
        run = self.runs.get(run_id)
        if run is not None and run.info.silent is not silent:
            run.set_silent(silent)
            self.pulse.send()

    @property
    def silent(self) -> frozenset[RunId]:
        """The runs of which another attempt is awaited."""
        return frozenset([run_id for run_id, run in self.runs.items() if run.info.silent])

    def _has_open_run(self) -> bool:
        return any(not run.ended for run in self.runs.values())

    def _look_at_lease(self, state: SessionState | None) -> None:
        if state is None or state.run is None:
            return
        self.hear_of(state.run.id, silent=state.run.silent)
        if state.run_expired:
            self._meet(state.run.id)
        for found in state.beside:
            if found.expired:
                self._meet(found.run.id)

    def _meet(self, run_id: RunId) -> None:
        if self._orphans is not None:
            self._orphans.meet(self.session_id, run_id)

    # -- who follows ----------------------------------------------------------------------

    def follow(self) -> None:
        """Keep records for one more follower."""
        self.followers += 1
        if self.entries is None:
            self.entries = deque(maxlen=RING_ENTRIES)

    def unfollow(self) -> None:
        """Stop keeping records for a follower; without any, drop them."""
        self.followers -= 1
        if self.followers == 0:
            self.entries = None

    # -- what readers see -----------------------------------------------------------------

    def _deliver(self, entry: LogEntry) -> None:
        record = entry.record
        if self.head is not None:
            self.head = Position(self.head.epoch, entry.offset)
        if isinstance(record, ChunksRecord):
            run = self.runs.get(record.run_id)
            if run is not None:
                if run.info.silent:
                    self.hear_of(record.run_id, silent=False)
                run.deliver(entry.offset, record)
        elif isinstance(record, RunRecord):
            self._deliver_run(entry.offset, record)
        elif isinstance(record, QueueRecord):
            self.queued = record.order
            self.pulse.send()
        elif isinstance(record, SteerRecord):
            self._deliver_steer(record)
        if self.entries is not None:
            self.entries.append(entry)
            self._tell(entry)

    def _tell(self, entry: LogEntry) -> None:
        at = self.head
        event = None if at is None else feed_event(entry, at)
        if at is None or event is None:
            self.pulse.send()
        else:
            self.pulse.hand(event, at)

    def _deliver_run(self, offset: str, record: RunRecord) -> None:
        run = self.runs.get(record.run.id)
        if run is not None:
            run.update(record.run)
        else:
            self._add(self._view(record.run, 0, offset))
        self.pulse.send()

    def _deliver_steer(self, record: SteerRecord) -> None:
        if not record.outcome:
            self.waiting.add(record.id)
            self._tell_producer(record.run_id)
            return
        self.waiting.discard(record.id)
        self.steered[record.id] = record.outcome
        if len(self.steered) > STEERED_KEPT:
            del self.steered[next(iter(self.steered))]
        self.pulse.send()

    def _tell_producer(self, run_id: RunId) -> None:
        """Tell a run's producer, or its worker's request, here that a message waits for it."""
        view = self.runs.get(run_id)
        if view is None:
            return
        if (live := view.live) is not None:
            live.steered()
        else:
            view.pulse.send()

    def _reset(self, state: SessionState | None) -> None:
        self.generation += 1
        if self.entries is not None:
            self.entries.clear()
        self.head = None if state is None else state.meta.position
        self.queued = () if state is None else state.meta.queued
        self.waiting = set() if state is None else set(state.meta.steers)
        current = None if state is None else state.run
        beside = {} if state is None else {each.run.id: each for each in state.beside}
        # Of a deleted message nothing is kept here.
        self.runs = {
            run_id: run
            for run_id, run in self.runs.items()
            if not run.ended or has(state, run.info.message_id)
        }
        for run in self.runs.values():
            if run.info.id not in beside and (current is None or run.info.id != current.id):
                run.lose()
        if state is not None and current is not None:
            known = self.runs.get(current.id)
            if known is None:
                self._add(self._view(current, state.run_next, state.run_opened))
            else:
                known.meet_again(current, state.run_next)
            if state.meta.steers:
                self._tell_producer(current.id)
        for found in beside.values():
            self._meet_side(found)
        self.pulse.send()

    def _meet_side(self, found: LoadedRun) -> None:
        """Take up a side run as the session's state shows it."""
        known = self.runs.get(found.run.id)
        if known is None:
            self._add(self._view(found.run, found.next, found.opened))
        else:
            known.skip_to(found.next)
            known.update(found.run)

    def _add(self, run: RunView) -> None:
        self.runs = {
            run_id: view for run_id, view in self.runs.items() if not view.ended or view.readers
        }
        self.runs[run.info.id] = run

    def _view(self, info: RunInfo, next_sequence: int, opened: str) -> RunView:
        return RunView(
            self._store,
            self.session_id,
            info,
            next_sequence=next_sequence,
            opened=opened,
            live_runs=self._live_runs,
        )

    def adopt(self, info: RunInfo, opened: str) -> RunView:
        """Return the view of a run that was just opened here, heard of already or not."""
        run = self.runs.get(info.id)
        if run is None:
            run = self._view(info, 0, opened)
            self._add(run)
        return run

    async def view_of(self, run_id: RunId) -> RunView:
        """Return a run's view: the shared one, or for an older run one of the caller's own.

        Raises:
            RunNotFoundError: the session does not have it.
            StoreUnavailableError: Redis cannot be reached.
        """
        view = self.runs.get(run_id)
        if view is not None:
            return view
        found = await self._store.load_run(self.session_id, run_id)
        view = self.runs.get(run_id)
        if view is not None:
            return view
        if found is None:
            raise run_not_found()
        view = self._view(found.run, found.next, found.opened)
        if not view.ended:
            self._add(view)  # met before the feed has heard of it: what comes fills it
            self.check()
        return view

    @property
    def active(self) -> RunView | None:
        """The main run under way, as far as this process has heard."""
        for run in self.runs.values():
            if run.info.state is not RunState.ENDED and not run.info.side:
                return run
        return None


def _order(offset: str) -> tuple[int, int]:
    milliseconds, _, sequence = offset.partition("-")
    return int(milliseconds), int(sequence)
