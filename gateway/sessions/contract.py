"""Contract of the sessions with the API: start, resume, stop, look, follow, erase.

Every method checks what the caller may do; a session that the caller may not see behaves
as one that does not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from midstream.sessions.answerers.contract import HandoffServices

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractAsyncContextManager

    from midstream.errors import GatewayError
    from midstream.ids import MessageId, RunId, SessionId
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.position import Position
    from midstream.providers.base import StepResult
    from midstream.providers.part_ids import PartIds
    from midstream.sessions.access import Caller
    from midstream.sessions.queued import AskedSteer, EntryEdit, Queue, Queued, SteerAnswer
    from midstream.sessions.types import (
        Attempt,
        CallRequest,
        FeedReader,
        Probe,
        Pushed,
        PushedEnd,
        PushedRun,
        PushLimits,
        Renewal,
        RunCost,
        RunHold,
        RunReader,
        Snapshot,
        StartRequest,
    )
    from midstream.store.calls import RunKey
    from midstream.store.records import RunInfo, SessionPage


class PushedService(Protocol):
    """Runs that workers outside write. See `sessions/pushed`."""

    @property
    def limits(self) -> PushLimits:
        """Bounds that workers are told."""
        ...

    async def claim(
        self, caller: Caller, request: StartRequest, agent: str, attempt: Attempt
    ) -> PushedRun:
        """Open the request's run, or take it over from its present writer.

        Args:
            request: its `request_key` is the run's.
            agent: the name that clients see.

        Raises:
            FencedError: another attempt claimed it in between, or a later one before.
            KeyReusedError: the key is that of another question, or of another agent.
            RunActiveError, ForbiddenError, InvalidRequestError, ConflictError,
            MessageNotFoundError, SessionNotFoundError, DrainingError, StoreUnavailableError.
        """
        ...

    async def append(
        self, caller: Caller, key: RunKey, first: int, lines: Sequence[bytes]
    ) -> Pushed:
        """Store chunks from the sequence `first` on; the same again are answered as stored.

        `lines`: a chunk's JSON each; 1..MAX_PUSHED_CHUNKS.

        Raises:
            IllegalChunkPushedError: one of them cannot be taken; those before it are stored.
            FencedError, SequenceGapError, RunEndedError, RunNotFoundError,
            SessionNotFoundError, ForbiddenError, StoreUnavailableError.
        """
        ...

    async def renew(
        self,
        caller: Caller,
        key: RunKey,
        wait_s: float,
        known: Collection[str] | None = None,
        patience_ms: int | None = None,
    ) -> Renewal:
        """Renew the lease; wait for a stop, or a message that is not `known`. Raises as `append`.

        `patience_ms`: how long the run waits for the job's next attempt; None: as long as before.
        """
        ...

    async def end(self, caller: Caller, key: RunKey, ending: PushedEnd) -> Pushed:
        """Store the last chunks, and write the terminal. Sent again, it is answered as before.

        It raises as `append` does; RunEndedError: it has another end.
        """
        ...


class HeldRunService(Protocol):
    """Places of callers that pushed runs take."""

    def until_ended(self, session_id: SessionId, run_id: RunId, hold: RunHold) -> None:
        """Keep a place until the run has ended."""
        ...


class CallInRun(Protocol):
    """A call to a provider, as a part of a run. See `sessions/proxied/call.py`."""

    @property
    def part_ids(self) -> PartIds:
        """Ids of the run's parts, shared by its calls."""
        ...

    def write(self, chunks: Sequence[AnyChunk], size_bytes: int) -> None:
        """Add chunks, which were so many bytes at the provider. Never waits."""
        ...

    def end(self, result: StepResult) -> None:
        """End the call: its answer is complete."""
        ...

    def fail(self, failure: GatewayError, *, comes_again: bool = False) -> None:
        """End the call: the provider failed. `comes_again`: its SDK will try it again."""
        ...

    async def settled(self) -> None:
        """Wait until the log has the answer; bounded.

        Raises:
            RunActiveError: another call has claimed the run meanwhile.
        """
        ...

    async def until_stopped(self) -> None:
        """Return when a person has stopped the run; never, if it ends in another way.

        Raises:
            RunActiveError: another call of the run has taken it over, through another process.
        """
        ...


class ProxiedService(Protocol):
    """Runs made of calls that pass through this process."""

    def call(
        self, caller: Caller, call: CallRequest, hold: RunHold | None = None
    ) -> AbstractAsyncContextManager[CallInRun]:
        """Begin a call; one that the block leaves unended counts as left by its caller.

        Args:
            hold: kept while the run that the call begins here is open.

        Raises:
            RunActiveError: another run of the session, or call of the run, is under way.
            RunStoppedError: a person has stopped the run.
            ConflictError: the run has ended.
            SessionNotFoundError, ForbiddenError, MessageNotFoundError, InvalidRequestError,
            DrainingError, StoreUnavailableError.
        """
        ...


class ProxiedEndService(Protocol):
    """Ends of proxied runs, by a request of their backend."""

    async def end(
        self, caller: Caller, session_id: SessionId, run_key: str, failed: str | None
    ) -> RunInfo:
        """End a proxied run; return it, ended. One that has ended before stays as it is.

        `failed`: the sentence that people read, if it has failed.

        Raises:
            RunActiveError: a call of it is under way.
            RunNotFoundError: the session has no such run.
            SessionNotFoundError, ForbiddenError, DrainingError, StoreUnavailableError.
        """
        ...


class QueueService(Protocol):
    """The queue of a session, for its people. Each answers with the queue as it is then.

    Raises (each): SessionNotFoundError, ForbiddenError, StoreUnavailableError, UpgradeNeededError.
    Those that name an entry also MessageNotFoundError, and EntryTakenError once it has its run.
    """

    async def edit(
        self, caller: Caller, session_id: SessionId, entry: MessageId, edit: EntryEdit
    ) -> Queue:
        """Change an entry's message, its place, or both.

        Raises:
            ConflictError: it has another version, or the new message another id.
            InvalidRequestError, QueueFullError.
        """
        ...

    async def remove(self, caller: Caller, session_id: SessionId, entry: MessageId) -> Queue:
        """Remove an entry, or one that came back."""
        ...

    async def clear(self, caller: Caller, session_id: SessionId) -> Queue:
        """Remove all entries, and those that came back."""
        ...

    async def resume(self, caller: Caller, session_id: SessionId) -> Queue:
        """End a pause."""
        ...

    async def send_now(
        self, caller: Caller, session_id: SessionId, entry: MessageId, *, steers: bool = False
    ) -> Queue:
        """Answer an entry next: the run is stopped for it, or takes it up if it can."""
        ...


class SteerService(Protocol):
    """Messages for the running answer of a session."""

    async def steer(
        self,
        caller: Caller,
        session_id: SessionId,
        asked: AskedSteer,
        hold: RunHold | None = None,
    ) -> SteerAnswer:
        """Give it a message. Raises as a queued send; SteerNotDeliveredError: wanted back."""
        ...


class SessionService(HandoffServices, Protocol):
    """The sessions of all callers, on this process and all others."""

    @property
    def pushed(self) -> PushedService:
        """Runs that workers outside write."""
        ...

    @property
    def held(self) -> HeldRunService:
        """Places of callers that such runs take."""
        ...

    @property
    def proxied(self) -> ProxiedService:
        """Runs that pass through this process."""
        ...

    @property
    def proxied_ends(self) -> ProxiedEndService:
        """Ends of such runs, wherever they are."""
        ...

    @property
    def queues(self) -> QueueService:
        """The queue of a session, for its people."""
        ...

    @property
    def steers(self) -> SteerService:
        """Messages for the running answer of a session."""
        ...

    def cost(self, request: StartRequest) -> RunCost:
        """Return the estimated cost of a send for its caller."""
        ...

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> RunReader:
        """Accept a message, open its run, and return a reader of it, from its first chunk.

        Args:
            hold: kept, until the run is not written here any more, if this opens one.

        Raises:
            RunActiveError, ConflictError, MessageNotFoundError, AgentNotFoundError,
            SessionNotFoundError, InvalidRequestError, DrainingError, StoreUnavailableError.
            QueueFullError: it is to be queued, and there is no room.
            SteerNotDeliveredError: the running answer cannot take it up, and it is wanted back.
        """
        ...

    async def start_unread(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> Queued | SteerAnswer:
        """Queue a message, give it to the running answer, or open its run. Raises as `start`."""
        ...

    def queues_send(self, request: StartRequest) -> bool:
        """Whether a send may wait behind a run under way, or in it, as it or the settings say."""
        ...

    async def resume(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        after: int | None = None,
        raw: bool = False,
        probe: Probe | None = None,
    ) -> RunReader | None:
        """Return a reader of the run under way, or None if nothing runs.

        Without `after`: the aggregated state, then live. With it: the chunks after that
        sequence of `run_id` (or the active, else the last run), also of an ended one.
        `raw` without `after`: all chunks from the first.
        `probe`: the client may be reading the run already; then there is nothing to resume while
        a replay would show it twice.

        Raises:
            NotRecoveredError: `after` is ahead of the run, or its chunks were trimmed.
        """
        ...

    async def stop(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        message_id: MessageId | None = None,
        request_key: str | None = None,
    ) -> list[RunId]:
        """Stop, and return the runs that this ended, once their terminal is committed.

        Without `run_id`, a send named by its key or its message that is not accepted yet is
        prevented: its run ends at once. With its key, nothing else of the message is touched.
        """
        ...

    async def at_work(self, caller: Caller, session_id: SessionId) -> RunId | None:
        """Return the run under way, to a caller who may send; else raise as `delete` does."""
        ...

    async def withdraw_presence(self, pid: int) -> None:
        """Remove the tabs of a killed process from the presence of every session."""
        ...

    async def snapshot(
        self, caller: Caller, session_id: SessionId, *, side: bool = False
    ) -> Snapshot:
        """Look, with `side` also at side runs. Raises SessionNotFoundError."""
        ...

    async def follow(
        self,
        caller: Caller,
        session_id: SessionId,
        after: Position | None,
        *,
        tabs: int = 1,
        side: bool = False,
    ) -> FeedReader:
        """Follow a session, also before it exists. `tabs`: it speaks for so many; 0: untold."""
        ...

    async def delete(
        self, caller: Caller, session_id: SessionId, message_id: MessageId | None
    ) -> None:
        """Delete a message, or all: its words, wherever the session keeps them.

        Raises:
            RunActiveError: a run answers or writes it. SessionNotFoundError, ForbiddenError,
            MessageNotFoundError, StoreUnavailableError, UpgradeNeededError.
        """
        ...

    async def select(
        self, caller: Caller, session_id: SessionId, message_id: MessageId
    ) -> MessageId:
        """Show the newest path through a message; return its last one. Raises as `delete`."""
        ...

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Stop what runs and delete the session. Raises SessionNotFoundError."""
        ...

    async def list_sessions(
        self, caller: Caller, *, limit: int, before_ms: int | None
    ) -> SessionPage:
        """The caller's own sessions, newest activity first."""
        ...

    async def drain(self, limit_s: float) -> None:
        """Accept nothing more; hand over, or end, what of our own runs is left after `limit_s`."""
        ...
