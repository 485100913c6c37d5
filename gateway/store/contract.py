"""The session log's contract. `redis/store.py` keeps it; everything above relies on it.

Rules that hold for every method:

- One call is one atomic step for one session, in one Lua script (batched calls are one
  pipeline of independent scripts, one a run).
- Every call may be sent again unchanged; the second answer says what the first did.
- `StoreUnavailableError` means that the outcome is unknown. Nothing retries in here.
- A session whose format is above ours (`format.py`) can be read, and nothing in it written: a
  method that would raises `UpgradeNeededError`, and has changed nothing; `append`, `renew` and
  `close_run` answer `newer`.
- A session of which Redis has lost a part (it evicts keys) is one that does not exist: whoever
  meets it removes what is left, and its readers are told to look.
- What a newer gateway has added is passed over: an `UnknownRecord`, a field, a run's state.
- Every record is published on the session's channel, after the log has it, in log order,
  as seen by one connection.
- Cancelling a call leaves the outcome unknown, and no connection half-read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from midstream.ids import EVERYWHERE, NO_TENANT
from midstream.store.handoff.contract import SessionHandoffs
from midstream.store.handover_contract import SessionHandover
from midstream.store.queue.contract import SessionQueue, SessionSteers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from midstream.ids import MessageId, Reach, RunId, SessionId, TenantId, UserId
    from midstream.protocol.position import Position
    from midstream.store.calls import (
        AppendBatch,
        Appended,
        CloseRun,
        Deletion,
        Opened,
        OpenRun,
        Renewed,
        RunKey,
        Selection,
        StopRequested,
    )
    from midstream.store.records import (
        ChannelEvent,
        ChunkPage,
        LoadedRun,
        LogEntry,
        LogPage,
        Receive,
        SessionMeta,
        SessionPage,
        SessionState,
    )


class Channel(Protocol):
    """One process's subscription to the sessions it has readers for."""

    async def join(self, session_id: SessionId) -> None:
        """Subscribe; returns when Redis has confirmed it.

        Another task must be iterating: it is the one that reads the confirmation.

        Raises:
            StoreUnavailableError: not subscribed; the session is joined on reconnect.
        """
        ...

    async def leave(self, session_id: SessionId) -> None:
        """Unsubscribe; late entries may still arrive."""
        ...

    def __aiter__(self) -> AsyncIterator[ChannelEvent]:
        """Yield, without end, what arrives."""
        ...


class SessionStore(SessionQueue, SessionSteers, SessionHandover, SessionHandoffs, Protocol):
    """A session's log, messages and runs, in Redis."""

    # -- a run's life -------------------------------------------------------------------

    async def open_run(self, request: OpenRun) -> Opened:
        """Accept a message and open a run.

        Decides, in this order: owner and tenant; a known `request_key`; a tombstone left by a stop;
        the same user message with the same `content_hash` whose run is active or finished
        well (`KNOWN`; after a stop or a failure the same send is a retry and opens a new
        run); another active run (`ACTIVE`, `ORPHAN`); a head that is not `expected_offset`
        (`STALE`); then opens. One main run at a time. While the first entry of the queue is taken,
        its run comes first (`TAKEN`); with `entry`, the run is that entry's, or `WITHDRAWN`.

        A side run (`run.side`) is opened beside the main one, whatever that does. Decides: owner
        and tenant; a known `request_key`; a session or a message that it answers that are not
        there, or a head that is not `expected_offset` (`STALE`); a parent, if one is named, that
        has ended or is being stopped (`PARENT_ENDED`); a prompt with the id of a message that is
        there (`MESSAGE_KNOWN`); eight side runs under way (`FULL`); a tombstone. It moves no head,
        and gives the session no title.

        With `wait_ms` the run waits from the first (see `wait`).

        A regenerate, or a continuation (`replaced_message`), is KNOWN only by its key.
        The hints (`ms:leases`, `ms:user:*`) are written before.
        """
        ...

    async def append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        """Append batches of different runs: one pipeline, one command a run.

        Batches of one run are totally ordered. Idempotent by (run, fence, first).

        Returns:
            One answer a batch, in order.

        Raises:
            StoreUnavailableError: outcome unknown for all; send the same batches again. Where there
                are several servers (`is_sharded`), this is said of each batch: UNKNOWN.
        """
        ...

    def append_by_call(
        self,
        batches: Sequence[AppendBatch],
        done: Callable[[list[Appended] | None], None],
    ) -> bool:
        """Append as `append` does, if all is as usual, without a task that waits for it.

        Args:
            done: called once, after this has returned: with the answers, or with None if anything
                went wrong. Then the outcome is unknown for all; `append` the same batches.

        Returns:
            False if it cannot be done now: nothing is sent, and `done` not called. `append` them.
        """
        ...

    async def renew(
        self, keys: Sequence[RunKey], lease_ms: int, *, patience_ms: int | None = None
    ) -> list[Renewed]:
        """Extend leases (and the sessions' TTL): one pipeline, one ZADD for the hints.

        `patience_ms`: as of an OpenRun; None: what it was before.
        """
        ...

    async def request_stop(
        self,
        session_id: SessionId,
        *,
        run_id: RunId | None,
        message_id: MessageId | None,
        by: str,
        tombstone_ms: int,
        request_key: str | None = None,
        reach: Reach = EVERYWHERE,
        pauses: bool = True,
    ) -> StopRequested:
        """Record a stop.

        With `run_id`: that run, if it is under way. With `message_id`: the active run that
        answers or writes that message; if the message has no run under way, a tombstone of
        `tombstone_ms` that the next `open_run` for it consumes, also one that begins the
        session. With `request_key`: the run of that send, which a `run_id` overrules and a
        `message_id` helps to find; if the send is not accepted yet, a tombstone for it
        alone: the same message sent again is not stopped. With none: all runs under way, the main
        one and side runs. A stop for a run that has ended changes nothing. A run that waits has
        nobody to end it: `ORPHAN`.

        `reach`: a session beyond it is as one that does not exist. A tombstone that is left
        before the session begins counts only if the session turns out to be within.
        `pauses`: the queue pauses if the main run is stopped, if a stop names an entry, or nothing.
        """
        ...

    async def close_run(self, request: CloseRun) -> Appended:
        """Write the terminal: last chunks, final message, ended record; one atomic step.

        APPENDED or DUPLICATE: the run is ended as asked. Removes the hint after.
        """
        ...

    # -- reading ------------------------------------------------------------------------

    async def read_log(self, session_id: SessionId, after: Position, *, count: int) -> LogPage:
        """Read at most `count` records after a position.

        Recovered only if nothing after `after` is missing: the epoch is the log's, and the
        first record found names `after.offset` as its predecessor, or `after` is the head.
        """
        ...

    async def read_run(
        self, session_id: SessionId, offset: str, *, count: int
    ) -> tuple[LogEntry, ...]:
        """Read records from `offset` (inclusive) on, whatever was trimmed before it."""
        ...

    async def read_chunks(
        self, session_id: SessionId, run_id: RunId, offset: str, *, count: int
    ) -> ChunkPage:
        """Read one run's chunks from `offset` (inclusive) on, of at most `count` records.

        For less than `read_run`: a long answer is thousands of records.
        """
        ...

    async def load(
        self, session_id: SessionId, *, leaf: MessageId | None = None, with_queue: bool = False
    ) -> SessionState | None:
        """Read a session whole; None if it does not exist.

        Args:
            leaf: the path ends with this message, and is empty if the session does not have it;
                None: with the head.
            with_queue: with the entries of the queue.
        """
        ...

    async def read_messages(
        self, session_id: SessionId, ids: Sequence[MessageId]
    ) -> dict[MessageId, Raw]:
        """Read messages on any branch; those that are not there (any more) are left out."""
        ...

    async def load_meta(self, session_id: SessionId) -> SessionMeta | None:
        """Read a session without its messages; None if it does not exist."""
        ...

    async def load_run(self, session_id: SessionId, run_id: RunId) -> LoadedRun | None:
        """Read one run; None if the session does not have it."""
        ...

    async def run_of_request(self, session_id: SessionId, request_key: str) -> RunId | None:
        """Return the run that a send with this key has opened; None if there is none."""
        ...

    async def list_sessions(
        self,
        user: UserId,
        *,
        tenant: TenantId = NO_TENANT,
        limit: int,
        before_ms: int | None,
    ) -> SessionPage:
        """A user's sessions, newest activity first; stale hints are removed on the way."""
        ...

    # -- presence -----------------------------------------------------------------------

    async def announce(
        self, session_id: SessionId, process: str, user: UserId, *, tabs: int, lifetime_ms: int
    ) -> None:
        """Say in how many tabs of one process a user has the session open; 0: no more.

        Publishes a PresenceRecord if that changed the picture. Runs out after `lifetime_ms`
        unless said again. Nothing is written to the log.
        """
        ...

    async def withdraw(self, processes: str, *, lifetime_ms: int) -> None:
        """Forget what processes have said that have ended: those whose names begin so.

        In every session, which are looked for among all keys: for the demo alone.
        """
        ...

    async def presence(self, session_id: SessionId, *, lifetime_ms: int) -> Raw:
        """Return who has the session open: `[{user, tabs, lastSeenMs}]` as JSON, by user."""
        ...

    # -- own sends ----------------------------------------------------------------------

    async def mark_reading(
        self, session_id: SessionId, run_id: RunId, client: str, *, lifetime_ms: int
    ) -> None:
        """Say that a client reads a run in the response of its own send. Runs out by itself."""
        ...

    async def forget_reading(self, session_id: SessionId, run_id: RunId, client: str) -> None:
        """Say that it does not any more."""
        ...

    async def is_marked_reading(self, session_id: SessionId, run_id: RunId, client: str) -> bool:
        """Return whether any process has said so."""
        ...

    # -- housekeeping -------------------------------------------------------------------

    async def delete(
        self, session_id: SessionId, epoch: str, message_id: MessageId | None
    ) -> Deletion:
        """Delete a message, and nothing else; or all messages of all branches.

        Its content is overwritten, its id kept: it is known to be gone. What followed it hangs
        on its parent then, marked as unasked; if it was the head, its parent is. The log is
        trimmed to the run under way, else whole. The epoch stays.

        Args:
            epoch: of the session, as the caller read it.
            message_id: None: all.
        """
        ...

    async def select(
        self, session_id: SessionId, epoch: str, message_id: MessageId, *, by: str
    ) -> Selection:
        """Show the path through a message: the newest message below it becomes the head.

        Nothing changes if the message is on the path that is shown. Otherwise no main run may be
        under way, and no message wait in the queue: it was sent to the path that is shown.

        Args:
            epoch: of the session, as the caller read it.
            by: who selects it.
        """
        ...

    async def rewrite_file(self) -> None:
        """Ask Redis to write its append-only file anew, without what is not there any more.

        It does so in a process of its own. Only for a Redis that is the gateway's own.
        """
        ...

    async def erase(self, session_id: SessionId, *, reach: Reach = EVERYWHERE) -> list[RunId]:
        """Delete a session and publish an ErasedRecord; returns the runs that were under way.

        `reach`: a session beyond it is as one that does not exist.
        """
        ...

    async def trim_due(self, limit: int) -> int:
        """Trim logs whose reconnect window has passed; returns how many."""
        ...

    def channel(self, receive: Receive | None = None) -> AbstractAsyncContextManager[Channel]:
        """Open this process's subscription. Records are given to `receive`, if it is there."""
        ...

    # -- servers: one, or a cluster of them; each works or fails by itself ---------------------

    @property
    def is_sharded(self) -> bool:
        """Whether there are several servers: `place` may differ."""
        ...

    @property
    def healthy_since(self) -> float | None:
        """`time.monotonic()` since when commands succeed, at every server.

        None while they fail at one.
        """
        ...

    def served_since(self, session_id: SessionId) -> float | None:
        """As `healthy_since`, at the server of a session.

        A take-over waits until this is a full lease ago: after an outage every lease has expired,
        and the first reaper would kill every living run.
        """
        ...

    def place(self, session_id: SessionId) -> Hashable:
        """Return which server has a session, to compare. It may be another one later.

        What is for several servers in one call waits for the slowest of them.
        """
        ...

    async def ping(self) -> Collection[Hashable]:
        """Return the places that do not answer, if others do.

        Raises:
            StoreUnavailableError: none answers.
        """
        ...

    async def used_memory(self) -> int | None:
        """Return how many bytes of memory all servers use; None if they do not say.

        Raises:
            StoreUnavailableError: one cannot be reached.
        """
        ...

    async def probe(self) -> Collection[Hashable]:
        """Return the places that do not take a write, if others do.

        Raises:
            StoreUnavailableError: none takes one.
        """
        ...
