"""What the API asks of sessions: start, resume, stop, look, follow, erase.

Every method checks what the caller may do; a session that the caller may not see behaves
as one that does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.ids import MessageId, RunId, SessionId
from midstream.protocol.messages import UIMessage
from midstream.protocol.position import Position
from midstream.store.records import RunInfo, SessionMeta, Trigger

if TYPE_CHECKING:
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.access import Caller
    from midstream.sessions.opening.own_sends import Probe
    from midstream.sessions.proxied.run_ends import TurnEnds
    from midstream.sessions.proxied.runs import Turns
    from midstream.sessions.pushed.held_runs import HeldRuns
    from midstream.sessions.pushed.runs import PushedRuns


class Idle(Enum):
    """Nothing to deliver for a heartbeat interval."""

    HEARTBEAT = "heartbeat"


class StartRequest(Struct, frozen=True, kw_only=True):
    """A POST, decoded and checked for shape.

    Attributes:
        messages: the client's copy of the conversation, oldest first, never empty; only its
            last message, and its ids, are believed.
        message_id: the AI SDK's `messageId`: the message that is edited, regenerated or
            continued.
        parent_id: the message that a new one follows; None: it begins a conversation of its
            own; UNSET: see `places.py`.
        head: the last message that the client showed; None: none.
        on_active: `refuse` a second run (409) or `interrupt` the first.
        agent, model: from the body, or None for the defaults.
        request_key: makes a repeated send safe beyond its message id.
        client: who reads the response, as far as its requests tell; see `own_sends.py`. None:
            a client that knows what it reads.
        body: the rest of the body, as JSON.
        headers: those of the request that some agent may forward; names in lower case.
        proxied: its run is written by calls that pass through.
    """

    session_id: SessionId
    messages: Sequence[UIMessage]
    trigger: Trigger
    message_id: MessageId | None = None
    parent_id: MessageId | UnsetType | None = UNSET
    head: MessageId | UnsetType | None = UNSET
    on_active: Literal["refuse", "interrupt"] = "refuse"
    agent: str | None = None
    model: str | None = None
    request_key: str | None = None
    client: str | None = None
    body: Raw = Raw(b"{}")
    headers: Mapping[str, str] = {}
    proxied: bool = False


class RunCost(Struct, frozen=True):
    """What a run is thought to cost its caller, before it has ended."""

    size_bytes: int = 0
    tokens: int = 0


class RunEnd(Struct, frozen=True):
    """A run that has ended. `count_tokens` says how many it has used."""

    session_id: SessionId
    run_id: RunId
    count_tokens: Callable[[], int]


class RunHold(Protocol):
    """A place of the caller's that is taken for as long as a run is open."""

    def keep(self) -> None:
        """Leave it to whoever calls `release`: a run was opened."""
        ...

    def release(self, end: RunEnd | None = None) -> None:
        """Give it back: the run is not written any more; `end` is counted in the limits."""
        ...

    def drop(self) -> None:
        """Forget it: another process writes the run, and holds the place."""
        ...

    def told(self) -> bytes:
        """Return what such a process needs for that, as JSON."""
        ...


class RunReader(Protocol):
    """One reader of one run: `async with reader: async for item in reader`.

    Yields batches in order, each chunk once, `Idle.HEARTBEAT` when nothing came for the
    heartbeat interval, and ends after the batch that holds `finish`. If the log cannot be
    read any more it yields one last batch with an `error` and a `finish` that say so.

    Raises (from the iterator):
        DrainingError: this process shuts down; cut the connection, the client reconnects.
    """

    run: RunInfo

    async def __aenter__(self) -> RunReader: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[ChunkBatch | Idle]: ...


class FeedEvent(Struct, frozen=True, gc=False):
    """One event of the session feed.

    Attributes:
        event: `snapshot`, `message`, `run`, `chunks`, `presence` or `erased`.
        data: its JSON, on one line.
        position: where a reader stands after it; None while there is no session, and with
            `presence` and `erased`, which are not in the log.
    """

    event: str
    data: bytes
    position: Position | None


class FeedReader(Protocol):
    """One reader of a session's feed; see `RunReader` for its use and its end."""

    async def __aenter__(self) -> FeedReader: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[FeedEvent | Idle]: ...


class Versions(Struct, frozen=True):
    """The messages that stand in one place of the conversation, oldest first.

    Attributes:
        ids: edits of a message, answers of a regenerated one, what was sent beside it.
        index: of the one that is shown.
    """

    ids: Sequence[MessageId]
    index: int


class Snapshot(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session at one moment: `{id, epoch, offset, title, messages, branches, runs, presence}`.

    While a run is open, `messages` leaves out the message that it writes. `branches` has those of
    `messages` of which there are other versions.
    """

    id: SessionId
    epoch: str
    offset: str
    title: str
    messages: Sequence[Raw]
    runs: Sequence[RunInfo]
    presence: Raw = Raw(b"[]")
    branches: Mapping[MessageId, Versions] = {}

    @classmethod
    def empty(cls, session_id: SessionId) -> Snapshot:
        """Return what is seen of a session that does not exist."""
        return cls(id=session_id, epoch="", offset="", title="", messages=(), runs=())


class SessionService(Protocol):
    """The sessions of all callers, on this process and all others."""

    pushed: PushedRuns
    turns: Turns
    turn_ends: TurnEnds
    held: HeldRuns

    def cost(self, request: StartRequest) -> RunCost:
        """Return what a send is thought to cost its caller."""
        ...

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> RunReader:
        """Accept a message and return a reader of its run, from the run's first chunk.

        The run exists, for every process, when this returns. It goes on without readers.

        Args:
            hold: kept, until the run is not written here any more, if this opens one.

        Raises:
            RunActiveError, ConflictError, MessageNotFoundError, AgentNotFoundError,
            SessionNotFoundError, InvalidRequestError, DrainingError, StoreUnavailableError.
        """
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
        `probe`: whoever asks may be reading the run already, and then has nothing to resume
        while that would show it twice.

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

        Without `run_id`, a send that is named by its key or its message and is not accepted
        yet is prevented: the run that it opens ends at once. Nothing else of the message's is
        touched if its key is given.
        """
        ...

    async def at_work(self, caller: Caller, session_id: SessionId) -> RunId | None:
        """Return the run under way in a session, to somebody who may send to it.

        Raises:
            ForbiddenError, SessionNotFoundError: they may not.
        """
        ...

    async def withdraw_presence(self, pid: int) -> None:
        """Count no more, in any session, the tabs of a process that has been killed."""
        ...

    async def snapshot(self, caller: Caller, session_id: SessionId) -> Snapshot:
        """Raises SessionNotFoundError."""
        ...

    async def follow(
        self, caller: Caller, session_id: SessionId, after: Position | None, *, tabs: int = 1
    ) -> FeedReader:
        """Follow a session, also one that does not exist yet: its snapshot is then empty.

        `tabs`: how many the follower speaks for; with 0 it is not told among who is here.
        """
        ...

    async def delete(
        self, caller: Caller, session_id: SessionId, message_id: MessageId | None
    ) -> None:
        """Delete a message, or all: its words, wherever the session keeps them.

        Raises:
            SessionNotFoundError, MessageNotFoundError, ForbiddenError, StoreUnavailableError,
            UpgradeNeededError.
            RunActiveError: a run answers or writes it.
        """
        ...

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Stop what runs and delete the session. Raises SessionNotFoundError."""
        ...

    async def list_sessions(
        self, caller: Caller, *, limit: int, before_ms: int | None
    ) -> list[SessionMeta]:
        """The caller's own sessions, newest activity first."""
        ...

    async def drain(self, limit_s: float) -> None:
        """Accept nothing more, send readers of others' runs away, and let own runs finish."""
        ...
