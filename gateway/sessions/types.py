"""Terms of the sessions: requests, readers, events and snapshots.

The rooms and the contract use them. They hold data and describe seams; nothing here acts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.ids import MessageId, RunId, SessionId
from midstream.protocol.chunks import AnyChunk, FinishReason
from midstream.protocol.messages import UIMessage
from midstream.protocol.position import Position
from midstream.protocol.requests import OnActive
from midstream.providers.passthrough.content import ToolResult
from midstream.sessions.queued import Queue, SteerEntry
from midstream.store.calls import NewMessage, RunKey
from midstream.store.records import RunInfo, Trigger

if TYPE_CHECKING:
    from midstream.protocol.batch import ChunkBatch


MAX_PUSHED_CHUNKS: Final = 10_000
"""In one append: more than a stream that was held for a minute, checked within 50 ms."""


class SessionLimits(Struct, frozen=True, kw_only=True):
    """Waits of the service itself.

    Attributes:
        stop_wait_s: how long a stop, and a send behind one, waits for the terminal.
        tombstone_s: how long a stop that comes before a send of its message is remembered:
            not long, since it would stop a person's next attempt too.
        send_tombstone_s: the same for a stop that names the send: longer than any can wait
            for its turn (`OPEN_ATTEMPTS` stops of `stop_wait_s`).
        refuse_foreign: refuse assistant messages that the session does not have.
        on_active: of sends that do not say it; `agents_on_active`: by agent.
        queue_max_bytes: of one queued message; the store bounds the queue by the same.
    """

    lease_ms: int = 8_000
    stop_wait_s: float = 15.0
    tombstone_s: float = 10.0
    send_tombstone_s: float = 300.0
    refuse_foreign: bool = True
    on_active: OnActive = "refuse"
    agents_on_active: Mapping[str, OnActive] = {}
    queue_max_bytes: int = 1024 * 1024


class Idle(Enum):
    """Nothing to deliver for a heartbeat interval."""

    HEARTBEAT = "heartbeat"


class StartRequest(Struct, frozen=True, kw_only=True):
    """A POST, decoded and checked for shape.

    Attributes:
        messages: the client's copy, oldest first, never empty; only the last and ids are believed.
        message_id: the AI SDK's `messageId`: what is edited, regenerated or continued.
        parent_id: the message that a new one follows; None: none does; UNSET: see `places.py`.
        head: the last message that the client showed; None: none.
        on_active: `refuse` a second run, `interrupt`, `queue`, `steer`; None: as the settings say.
        wants_back: a steer that is not delivered is refused, and not queued.
        agent, model: None for the defaults.
        request_key: makes a repeated send safe beyond its message id.
        client: who reads the response (`own_sends.py`); None: a client that knows what it reads.
        body: the rest of the body, as JSON.
        headers: those of the request that some agent may forward; names in lower case.
        proxied: its run is written by calls that pass through.
        side: its run is a side run, for `parent_run_id`; None: for the main run under way.
        wait_ms: its run waits for so long for somebody who answers it; None: for nobody.
    """

    session_id: SessionId
    messages: Sequence[UIMessage]
    trigger: Trigger
    message_id: MessageId | None = None
    parent_id: MessageId | UnsetType | None = UNSET
    head: MessageId | UnsetType | None = UNSET
    on_active: OnActive | None = "refuse"
    wants_back: bool = False
    agent: str | None = None
    model: str | None = None
    request_key: str | None = None
    client: str | None = None
    body: Raw = Raw(b"{}")
    headers: Mapping[str, str] = {}
    proxied: bool = False
    side: bool = False
    parent_run_id: RunId | None = None
    wait_ms: int | None = None


class Attempt(Struct, frozen=True, kw_only=True):
    """An attempt at a job, which claims the job's run by its key.

    Attributes:
        number: of the job's attempts; a lower one than was seen is fenced. None: it is not counted.
        replays: whether it writes the answer from its beginning, and not what is left of it.
        after: the run of an earlier attempt, which was interrupted; this attempt opens another.
        reads: whether it reads what people say to the running answer.
        patience_ms: how long the run waits for the next attempt, once this one is silent; None: for
            as long as the lease of any run.
    """

    number: int | None = None
    replays: bool = False
    after: RunId | None = None
    reads: bool = False
    patience_ms: int | None = None


NO_ATTEMPT: Final = Attempt()


class RunCost(Struct, frozen=True):
    """Estimated cost of a run for its caller, before it has ended."""

    size_bytes: int = 0
    tokens: int = 0


class EndedRun(Struct, frozen=True):
    """A run that has ended. `count_tokens` says how many it has used."""

    session_id: SessionId
    run_id: RunId
    count_tokens: Callable[[], int]


class RunHold(Protocol):
    """A place of the caller's that is taken for as long as a run is open."""

    def keep(self) -> None:
        """Keep the place until `release`: a run was opened."""
        ...

    def release(self, end: EndedRun | None = None) -> None:
        """Give it back: the run is not written any more; `end` is counted in the limits."""
        ...

    def drop(self) -> None:
        """Forget it: another process writes the run, and holds the place."""
        ...

    def told(self) -> bytes:
        """Return the facts that such a process needs for it, as JSON."""
        ...


class RunReader(Protocol):
    """One reader of one run: `async with reader: async for item in reader`.

    Yields batches in order, each chunk once, `Idle.HEARTBEAT` when nothing came for the
    heartbeat interval, and ends after the batch that holds `finish`. If the log cannot be
    read any more it yields one last batch with an `error` and a `finish` that say so.

    Raises (from the iterator):
        DrainingError: this process shuts down; cut the connection, the client reconnects.
    """

    @property
    def run(self) -> RunInfo | None:
        """The run; None while a queued one is not open."""
        ...

    async def __aenter__(self) -> RunReader: ...
    async def __aexit__(self, *exc: object) -> None: ...

    def __aiter__(self) -> AsyncIterator[ChunkBatch | Idle]: ...

    def write_to(self, sink: Callable[[ChunkBatch], bool]) -> None:
        """Offer `sink` what arrives while the iterator waits; yield what it does not take.

        Args:
            sink: writes at once and returns True, or False: it has done nothing.
        """
        ...


FeedEventKind: TypeAlias = Literal[
    "snapshot", "message", "run", "chunks", "queue", "steer", "handoff",
    "presence", "erased", "lost",
]  # fmt: skip
"""`message` to `handoff` are records of the log. `erased` and `lost` tell why the snapshot that
follows is of another session, or of none."""


class FeedEvent(Struct, frozen=True, gc=False):
    """One event of the session feed.

    Attributes:
        data: its JSON, on one line.
        position: where a reader stands after it; None while there is no session, and with what is
            not in the log: `presence`, `erased`, `lost`, and a `run` that is silent, or no more.
    """

    event: FeedEventKind
    data: bytes
    position: Position | None
    side: bool = False
    """It is of a side run."""


class FeedReader(Protocol):
    """One reader of a session's feed; see `RunReader` for its use and its end."""

    async def __aenter__(self) -> FeedReader: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[FeedEvent | Idle]: ...

    def write_to(self, sink: Callable[[FeedEvent], bool]) -> None:
        """See RunReader."""
        ...


class Versions(Struct, frozen=True):
    """The messages that stand in one place of the conversation, oldest first.

    Attributes:
        ids: edits of a message, answers of a regenerated one, what was sent beside it.
        index: of the one that is shown.
    """

    ids: Sequence[MessageId]
    index: int


class Snapshot(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session at one moment.

    While a run is open, `messages` leaves out the message that it writes. `branches` has those of
    `messages` of which there are other versions; `following`, messages of other branches that
    follow the last one of `messages`.
    """

    id: SessionId
    epoch: str
    offset: str
    title: str
    messages: Sequence[Raw]
    runs: Sequence[RunInfo]
    presence: Raw = Raw(b"[]")
    branches: Mapping[MessageId, Versions] = {}
    following: Sequence[MessageId] | UnsetType = UNSET
    queue: Queue = Queue()
    steers: Sequence[SteerEntry] = ()
    answered_by: Raw = Raw(b'{"kind":"agent"}')

    @classmethod
    def empty(cls, session_id: SessionId) -> Snapshot:
        """Return the snapshot of a session that does not exist."""
        return cls(id=session_id, epoch="", offset="", title="", messages=(), runs=())


class Plan(Struct, frozen=True, kw_only=True):
    """Decision on a send: the run to open, and the history that its agent answers.

    Attributes:
        user_message_id: the message that the run answers.
        user_message: that message, where it is new or edited.
        continued: the assistant message to continue, results merged; then
            `replaced_message` is what to store of it, None if nothing is new.
        history: for the agent, oldest first.
    """

    user_message_id: MessageId
    user_message: NewMessage | None
    continued: UIMessage | None
    replaced_message: NewMessage | None
    content_hash: str
    history: Sequence[UIMessage]


class NewRun(Struct, frozen=True, kw_only=True):
    """A run that was just opened.

    Attributes:
        key: the right to write it.
        plan: the work of its agent.
        is_stopped: a stop came before it was opened.
    """

    key: RunKey
    plan: Plan
    is_stopped: bool


class Probe(Struct, frozen=True):
    """A request to resume whatever runs, of a client that cannot say what it has.

    Attributes:
        client: what its page and the page of a send have in common: see `api/parameters.py`.
        waits: whether the client looks at its own message after the response has begun, as from
            ai 6 on; ai 5 looks before it asks, so that waiting changes nothing for it.
    """

    client: str
    waits: bool


class CallRequest(Struct, frozen=True, kw_only=True):
    """A call that is to be (part of) a run.

    Attributes:
        run_key: of the run that it belongs to; None: it is a run by itself.
        message_id: the user message that it answers, if its caller knows.
        agent: who is shown as the writer.
        said: the parts of the user's last message; None if it has none.
        results: results of tools, oldest first.
        goes_on: its messages end in results of tools.
        digest: the same for each try of one call, and no other.
        tried: how often it was tried before, as far as its SDK says.
        ends: the run ends with its answer, whatever that is.
    """

    session_id: SessionId
    run_key: str | None
    message_id: MessageId | None
    agent: str
    said: Sequence[Raw] | None
    results: Sequence[ToolResult]
    goes_on: bool
    digest: str
    tried: int = 0
    ends: bool = False


class PushLimits(Struct, frozen=True, kw_only=True):
    """Bounds of pushed runs. `max_lease_ms`: the longest that a silent worker keeps its run."""

    lease_ms: int = 8_000
    max_lease_ms: int = 3_600_000
    reconnect_window_s: float = 3600.0

    @property
    def max_wait_s(self) -> float:
        """Longest wait of a renewal: the next one must come within the lease."""
        return self.lease_ms / 2000


class PushedRun(Struct, frozen=True, kw_only=True):
    """A run that was claimed.

    Attributes:
        fence: 0 if the run has ended: nothing is left to write.
        next: the sequence of the next chunk.
        stored: its chunks so far, `start` (sequence 0) included.
        continued: the message that the run continues, as it was before; None: it has its own.
        written: the message of a run that has ended; None if it has said nothing.
        messages: the conversation up to the message to answer or to continue.
    """

    run: RunInfo
    fence: int
    next: int = 0
    stored: Sequence[AnyChunk] = ()
    continued: UIMessage | None = None
    written: UIMessage | None = None
    messages: Sequence[Raw] = ()
    stopped_by: str | None = None


class Pushed(Struct, frozen=True, kw_only=True):
    """Answer to an append or an end. `stopped_by`: a stop is recorded."""

    next: int
    stopped_by: str | None = None


class Renewal(Struct, frozen=True):
    """Answer to a renewal. `steers`: messages for the run that its worker does not have yet."""

    stopped_by: str | None = None
    steers: Sequence[Raw] = ()


class PushedEnd(Struct, frozen=True, kw_only=True):
    """End of a run, as its worker asks for it.

    Attributes:
        first, lines: the last chunks, as for an append; possibly none.
        error_text: for a failed one, the sentence that people read.
        metadata: merged into the message's, as a JSON object.
    """

    first: int
    outcome: Literal["finished", "stopped", "failed"]
    lines: Sequence[bytes] = ()
    finish_reason: FinishReason | None = None
    metadata: Raw | None = None
    error_text: str | None = None
