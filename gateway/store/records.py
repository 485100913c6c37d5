"""Records of a session's log, and what readers get of it: frozen data, no behaviour.

A log is one Redis Stream. Each entry is one record; each names its predecessor, so that a
reader can tell a hole from an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Self, TypeAlias

from msgspec import Raw, Struct

from midstream.ids import MessageId, RunId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.format import WRITE_FORMAT
from midstream.store.handoff.calls import Handoff, HandoffNote, HandoffRecord
from midstream.store.queue.state import QueueState, WaitingSteer


class OpenEnum(StrEnum):
    """Words to which later versions may add: one that is not known here is kept as it is."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word


class RunState(OpenEnum):
    """State of a run. `stopping`: a stop is recorded, its terminal is not yet.

    `waiting`: as `open`, but without producer, lease or process. It is no orphan and outlives every
    gateway. It ends by an answer, a stop, a hand-back, or at the limit of its wait.

    A run in a state that is not known here has not ended; it is no orphan, and not ours to
    write. Clients are told the state as it is.
    """

    OPEN = "open"
    WAITING = "waiting"
    STOPPING = "stopping"
    ENDED = "ended"


class RunOutcome(OpenEnum):
    """Outcome of an ended run. An unknown one is neither a success nor a person's stop."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """By a person."""
    FAILED = "failed"
    """The provider, the agent or the log failed, or nobody answered a run that waited."""
    INTERRUPTED = "interrupted"
    """Its producer died, or was shut down."""


class Trigger(OpenEnum):
    """Request of a client, in the AI SDK's own words."""

    SUBMIT = "submit-message"
    REGENERATE = "regenerate-message"


class RunInfo(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A run as records, snapshots and the feed show it.

    `message_id` is the assistant message that the run writes; `user_message_id` the user
    message it answers. `continues`: the message existed before the run (tool results came
    in), so the run's own chunks are only its tail. `proxied`: its words come from calls of a
    model that pass through; it may wait for the next one. `pushed`: a worker outside writes it.
    `side`: it runs beside the main run; its message hangs under the one that its parent run
    answers, and is never the session's head. `parent_run_id`: of a side run, that parent.
    `silent`: its producer is late, and another attempt is awaited; its lease tells, no record does.
    """

    id: RunId
    state: RunState
    message_id: MessageId
    user_message_id: MessageId
    trigger: Trigger
    agent: str = ""
    continues: bool = False
    proxied: bool = False
    pushed: bool = False
    side: bool = False
    parent_run_id: RunId | None = None
    silent: bool = False
    outcome: RunOutcome | None = None
    stopped_by: str | None = None
    started_at_ms: int = 0
    ended_at_ms: int | None = None


class ChunksRecord(Struct, frozen=True, gc=False, kw_only=True):
    r"""A batch of a run's chunks.

    `payload`: `count` chunks as JSON, one a line, each line ended by `\n`; the chunk at
    line i has sequence `first + i`. `level`: the lowest AI SDK major version (5, 6, 7) that
    accepts all of them.
    """

    run_id: RunId
    first: int
    count: int
    level: int
    payload: bytes


class MessageRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A message was added or replaced. `message`: the UIMessage as JSON, on one line.

    `side`: a side run wrote it, or was asked by it.
    """

    id: MessageId
    parent_id: MessageId | None
    run_id: RunId | None
    message: Raw
    side: bool = False


class RunRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A run opened, is stopping, or ended."""

    run: RunInfo


class QueueRecord(Struct, frozen=True, gc=False, kw_only=True):
    """The queue has changed.

    Attributes:
        paused: why no entry is taken: `stopped` or `failed`; None: they are.
        waits_for: what the first of them waits for: `approval` or `tool`; None: only for its turn.
        order: the entries, by id.
        unsent: id and reason of entries that will not be answered.
        entry: the one that is new or was changed, as JSON; None if there is none.
    """

    paused: str | None
    waits_for: str | None
    order: tuple[MessageId, ...]
    unsent: tuple[tuple[MessageId, str], ...]
    entry: Raw | None


class SteerRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A message waits for a run, or its outcome is known.

    Attributes:
        outcome: `delivered STEP` or `not-delivered REASON`; empty: it waits.
        entry: the message, of one that waits: as a queue's entry, JSON.
    """

    run_id: RunId
    id: MessageId
    outcome: str
    entry: Raw | None


class DeletedRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A message was deleted, or all. It follows nothing: readers begin again after it.

    `id`: of the message; None: all that there were.
    """

    id: MessageId | None


class SelectedRecord(Struct, frozen=True, gc=False, kw_only=True):
    """Another version is shown. It follows nothing, as a deletion.

    Attributes:
        id: the message that was selected.
        head: the newest message below it.
        by: who selected it.
    """

    id: MessageId
    head: MessageId
    by: str


class ErasedRecord(Struct, frozen=True, gc=False, kw_only=True):
    """The session was deleted. Only on the channel: the log is gone."""


class UnknownRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A record of a kind that this version does not know, or cannot read.

    Readers pass over it: it moves the log's head, and nothing else.
    """

    kind: str


class PresenceRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A change of who has the session open. Only on the channel, outside its order.

    `here`: `[{user, tabs, lastSeenMs}]` as JSON.
    """

    here: Raw


Record: TypeAlias = (
    ChunksRecord
    | MessageRecord
    | RunRecord
    | QueueRecord
    | SteerRecord
    | DeletedRecord
    | SelectedRecord
    | HandoffRecord
    | ErasedRecord
    | PresenceRecord
    | UnknownRecord
)


class ChunkPage(Struct, frozen=True, kw_only=True):
    """A part of a session's log, as the chunks of one of its runs.

    Attributes:
        records: the run's, each with the offset of its last part: those that follow each other
            without a hole are joined, up to about 64 KB.
        last: the offset of the last record that was read, of any kind; empty if there was none.
        full: whether there may be more after `last`.
    """

    records: tuple[tuple[str, ChunksRecord], ...]
    last: str
    full: bool


class LogEntry(Struct, frozen=True, gc=False, kw_only=True):
    """A record and where it stands.

    `offset` and `previous` are stream ids (`ms-seq`). The first record's predecessor is `0-0`. A
    deletion, a selection and an edit have none (empty): they change what came before them.
    """

    offset: str
    previous: str
    record: Record

    @property
    def begins_again(self) -> bool:
        """Whether readers begin again from the session's state."""
        return not self.previous


class Arrived(Struct, frozen=True, gc=False):
    """A record of a session has come over the channel."""

    session_id: SessionId
    entry: LogEntry


class Resubscribed(Struct, frozen=True, gc=False):
    """The subscription of a session was lost and made again: compare heads."""

    session_id: SessionId


class Reconnected(Struct, frozen=True, gc=False):
    """The channel's connection was lost, and all sessions are joined again: compare all heads."""


ChannelEvent: TypeAlias = Arrived | Resubscribed | Reconnected

Receive: TypeAlias = Callable[[SessionId, LogEntry], None]
"""Takes a session's record as it arrives. What it raises, whoever iterates the channel meets."""


class LogPage(Struct, frozen=True, kw_only=True):
    """A page of the log, oldest record first.

    `recovered` False: the position is of another epoch, trimmed, unknown or ahead of the
    log; `entries` is empty then. `head`: the log's last position now. `expired_run`: a run under
    way whose lease, or wait, has ended. `silent_runs`: of them another attempt is awaited.
    """

    recovered: bool
    head: Position | None
    entries: tuple[LogEntry, ...] = ()
    expired_run: RunId | None = None
    silent_runs: frozenset[RunId] = frozenset()


LogOrder: TypeAlias = tuple[int, int]
"""Place of a message's first record in the log, to compare by; (0, 0): unknown."""


class StoredMessage(Struct, frozen=True, kw_only=True):
    """A node of the session's tree of messages."""

    id: MessageId
    parent_id: MessageId | None
    content_hash: str
    run_id: RunId | None
    """For a user message, the last run that answered it; for an assistant's, the run that
    wrote it last."""
    message: Raw
    order: LogOrder = (0, 0)
    unasked: bool = False
    """The message that it followed was deleted."""
    side: bool = False
    """It is of a side run."""


class OffPath(Struct, frozen=True, gc=False):
    """A message of another branch: where it hangs, and when it came."""

    parent_id: MessageId | None
    order: LogOrder = (0, 0)
    side: bool = False
    run_id: RunId | None = None


class SessionMeta(Struct, frozen=True, kw_only=True):
    """A session without its messages. `format`: see `format.py`."""

    id: SessionId
    owner: UserId
    tenant: TenantId
    position: Position
    title: str
    created_at_ms: int
    updated_at_ms: int
    head_message_id: MessageId | None
    active_run_id: RunId | None
    last_run_id: RunId | None
    queued: tuple[MessageId, ...] = ()
    steers: tuple[MessageId, ...] = ()
    format: int = 1
    handoff: Handoff | None = None
    notes: tuple[HandoffNote, ...] = ()

    @property
    def is_newer(self) -> bool:
        """Whether newer gateways alone may write the session."""
        return self.format > WRITE_FORMAT


class SessionPage(list[SessionMeta]):
    """A page of a user's sessions.

    Attributes:
        is_whole: False: sessions on servers that are away are left out.
    """

    is_whole = True


class LoadedRun(Struct, frozen=True, kw_only=True):
    """A run as it was found.

    `next`: its next sequence; `opened`: the offset of its opening record; `expired`: it is a side
    run under way whose lease, or wait, has ended.
    """

    run: RunInfo
    next: int
    opened: str
    expired: bool = False


class SessionState(Struct, frozen=True, kw_only=True):
    """Everything a session is, read in one atomic step.

    `path`: the messages from the first to the head (or to the one that `load` was asked for),
    by parent. `run`: the active main run, or the last one, or None. `run_next`: that run's next
    sequence; `run_opened`: the offset of its opening record; `run_expired`: it is under way and
    its lease, or its wait, has ended. `beside`: the side runs under way, oldest first.
    `off_path`: all other messages of the tree (older branches), by id. `deleted`: the ids of
    those that were deleted, in neither. `queue`: its entries only if they were asked for; `steers`
    the same.
    """

    meta: SessionMeta
    path: tuple[StoredMessage, ...]
    run: RunInfo | None
    run_next: int = 0
    run_opened: str = "0-0"
    run_expired: bool = False
    beside: tuple[LoadedRun, ...] = ()
    off_path: Mapping[MessageId, OffPath] = {}
    deleted: frozenset[MessageId] = frozenset()
    queue: QueueState = QueueState()
    steers: tuple[WaitingSteer, ...] = ()
