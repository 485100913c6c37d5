"""What a session's log holds, and what the scripts answer: frozen data, no behaviour.

A log is one Redis Stream. Each entry is one record; each names its predecessor, so that a
reader can tell a hole from an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self, TypeAlias

from msgspec import Raw, Struct

from midstream.ids import MessageId, RunId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.format import WRITE_FORMAT


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
    """Where a run is. `stopping`: a stop is recorded, its terminal is not yet.

    A run in a state that is not known here has not ended; it is no orphan, and not ours to
    write. Clients are told the state as it is.
    """

    OPEN = "open"
    STOPPING = "stopping"
    ENDED = "ended"


class RunOutcome(OpenEnum):
    """How a run ended. One that is not known here is neither a success nor a person's stop."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """By a person."""
    FAILED = "failed"
    """The provider, the agent or the log failed."""
    INTERRUPTED = "interrupted"
    """Its producer died, or was shut down."""


class Trigger(OpenEnum):
    """What a client asks for; the AI SDK's own words."""

    SUBMIT = "submit-message"
    REGENERATE = "regenerate-message"


class RunInfo(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A run as records, snapshots and the feed show it.

    `message_id` is the assistant message that the run writes; `user_message_id` the user
    message it answers. `continues`: the message existed before the run (tool results came
    in), so the run's own chunks are only its tail. `proxied`: its words come from calls of a
    model that pass through; it may wait for the next one.
    """

    id: RunId
    state: RunState
    message_id: MessageId
    user_message_id: MessageId
    trigger: Trigger
    agent: str = ""
    continues: bool = False
    proxied: bool = False
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
    """A message was added or replaced. `message`: the UIMessage as JSON, on one line."""

    id: MessageId
    parent_id: MessageId | None
    run_id: RunId | None
    message: Raw


class RunRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A run opened, is stopping, or ended."""

    run: RunInfo


class DeletedRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A message was deleted, or all. It follows nothing: readers begin again after it.

    `id`: of the message; None: all that there were.
    """

    id: MessageId | None


class ErasedRecord(Struct, frozen=True, gc=False, kw_only=True):
    """The session was deleted. Only on the channel: the log is gone."""


class UnknownRecord(Struct, frozen=True, gc=False, kw_only=True):
    """A record of a kind that this version does not know, or cannot read.

    Readers pass over it: it moves the log's head, and nothing else.
    """

    kind: str


class PresenceRecord(Struct, frozen=True, gc=False, kw_only=True):
    """Who has the session open changed. Only on the channel, outside its order.

    `here`: `[{user, tabs, lastSeenMs}]` as JSON.
    """

    here: Raw


Record: TypeAlias = (
    ChunksRecord
    | MessageRecord
    | RunRecord
    | DeletedRecord
    | ErasedRecord
    | PresenceRecord
    | UnknownRecord
)


class LogEntry(Struct, frozen=True, gc=False, kw_only=True):
    """A record and where it stands.

    `offset` and `previous` are stream ids (`ms-seq`); the first record's predecessor is `0-0`, a
    deletion has none (empty).
    """

    offset: str
    previous: str
    record: Record


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


class LogPage(Struct, frozen=True, kw_only=True):
    """What `read_log` found, oldest first.

    `recovered` False: the position is of another epoch, trimmed, unknown or ahead of the
    log; `entries` is empty then. `head`: the log's last position now. `expired_run`: the run under
    way, if its lease has expired.
    """

    recovered: bool
    head: Position | None
    entries: tuple[LogEntry, ...] = ()
    expired_run: RunId | None = None


LogOrder: TypeAlias = tuple[int, int]
"""Where a message's first record stands in the log, to compare by; (0, 0) if that is not known."""


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


class OffPath(Struct, frozen=True, gc=False):
    """A message of another branch: where it hangs, and when it came."""

    parent_id: MessageId | None
    order: LogOrder = (0, 0)


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
    format: int = 1

    @property
    def is_newer(self) -> bool:
        """Whether newer gateways alone may write the session."""
        return self.format > WRITE_FORMAT


class SessionState(Struct, frozen=True, kw_only=True):
    """Everything a session is, read in one atomic step.

    `path`: the messages from the first to the head (or to the one that `load` was asked for),
    by parent. `run`: the active run, or the last one, or None. `run_next`: that run's next
    sequence; `run_opened`: the offset of its opening record; `run_expired`: it is under way and
    its lease has expired.
    `off_path`: all other messages of the tree (older branches), by id. `deleted`: the ids of
    those that were deleted, in neither.
    """

    meta: SessionMeta
    path: tuple[StoredMessage, ...]
    run: RunInfo | None
    run_next: int = 0
    run_opened: str = "0-0"
    run_expired: bool = False
    off_path: Mapping[MessageId, OffPath] = {}
    deleted: frozenset[MessageId] = frozenset()


class LoadedRun(Struct, frozen=True, kw_only=True):
    """A run as `load_run` found it.

    `next`: its next sequence; `opened`: the offset of its opening record.
    """

    run: RunInfo
    next: int
    opened: str


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to store. `message` is a UIMessage as JSON on one line."""

    id: MessageId
    parent_id: MessageId | None
    content_hash: str
    message: Raw


class OpenRun(Struct, frozen=True, kw_only=True):
    """Arguments of `open_run`.

    Args:
        expected_owner, expected_tenant: who owns the session, and whose people they are one
            of, as the caller just read it; for a session that does not exist, as it will be.
        run: state OPEN; `started_at_ms` is set by the script.
        user_message: the message to add, or None when the run answers or continues a
            message that is stored.
        content_hash: of the user message (or of the tool results, for a continuation).
        replaced_message: for a continuation, the assistant message with the results in it.
        new_epoch: used if the session does not exist.
        request_key: the client's key for this send; a send with a known key never starts
            a second run.
        expected_offset: the log's head when the caller read it (`0-0` if there was no
            session): what it decided holds only while nothing has changed since. None: open
            whatever the log holds.
        facts: what another process would need to go on with the run (`recall`); no client
            is ever shown it. Gone when the run ends.
    """

    session_id: SessionId
    expected_owner: UserId
    expected_tenant: TenantId
    run: RunInfo
    user_message: NewMessage | None
    replaced_message: NewMessage | None
    content_hash: str
    new_epoch: str
    title: str
    request_key: str | None = None
    expected_offset: str | None = None
    lease_ms: int = 8_000
    facts: bytes = b""


class OpenStatus(StrEnum):
    """What `open_run` did. Only OPENED changed anything."""

    OPENED = "opened"
    KNOWN = "known"
    """The same send arrived before: `run` is that one, active or ended."""
    ACTIVE = "active"
    """Another run is under way: `run` is that one."""
    ORPHAN = "orphan"
    """The active run's lease has expired: take it over, close it, and open again."""
    STALE = "stale"
    """The log's head is not `expected_offset`, and none of the above: load and decide again."""
    DENIED = "denied"
    """The session's owner is not `expected_owner`, or its tenant not `expected_tenant`."""


class Opened(Struct, frozen=True, kw_only=True):
    """Answer of `open_run`.

    `stop_requested`: a stop for this message came first; the run is open, and must end as
    stopped without calling the provider.
    """

    status: OpenStatus
    run: RunInfo | None = None
    fence: int = 0
    position: Position | None = None
    opened: str = "0-0"
    stop_requested: bool = False


class RunKey(Struct, frozen=True, kw_only=True):
    """A producer's right to write a run: hashable, and stale once another has taken over."""

    session_id: SessionId
    run_id: RunId
    fence: int


class AppendBatch(Struct, frozen=True, kw_only=True):
    """A frozen batch. Sent again unchanged until its outcome is known."""

    key: RunKey
    chunks: ChunksRecord


class AppendStatus(StrEnum):
    """What one append did."""

    APPENDED = "appended"
    DUPLICATE = "duplicate"
    """Stored before: success."""
    FENCED = "fenced"
    """Taken over, or ended."""
    GAP = "gap"
    """`next` is what the log expects: it lost what it had acknowledged, or we skipped."""
    GONE = "gone"
    """The run is not in Redis any more: erased, or the log was lost."""
    NEWER = "newer"
    """The session's format is above ours: newer gateways alone may write it (`format.py`)."""


class Appended(Struct, frozen=True, gc=False, kw_only=True):
    """Answer to one append. `stopped_by`: a stop is recorded for the run."""

    status: AppendStatus
    next: int = 0
    offset: str = ""
    stopped_by: str | None = None


class Renewed(Struct, frozen=True, gc=False, kw_only=True):
    """Answer to one renewal. `held` False: fenced, ended or gone, or `newer`.

    `newer`: the session's format is above ours.
    """

    held: bool
    newer: bool = False
    stopped_by: str | None = None


class CloseRun(Struct, frozen=True, kw_only=True):
    """Arguments of `close_run`: the terminal, in one atomic step.

    Args:
        chunks: the last batch, `finish` at its end; same rules as an append.
        message: the final assistant message, or None when nothing was said (no message is
            stored then).
        trim_before_ms: chunk records older than this are trimmed, this run's never.
    """

    key: RunKey
    chunks: ChunksRecord
    outcome: RunOutcome
    message: NewMessage | None
    trim_before_ms: int


class DeleteStatus(StrEnum):
    """What `delete` found."""

    DELETED = "deleted"
    """It is gone, now or before."""
    ABSENT = "absent"
    """There never was such a message."""
    ACTIVE = "active"
    """The run answers or writes it."""
    ORPHAN = "orphan"
    """The same, of a run whose lease has expired: take it over, close it, and delete again."""
    GONE = "gone"
    """The session is not of this epoch (any more)."""


class Deletion(Struct, frozen=True, kw_only=True):
    """Answer of `delete`. `run_id`: of the run that is in the way."""

    status: DeleteStatus
    run_id: RunId | None = None


class StopStatus(StrEnum):
    """What `request_stop` found."""

    STOPPING = "stopping"
    """Recorded, now or before; `run_id` will end."""
    NOTHING = "nothing"
    """No such run is under way."""
    PREVENTED = "prevented"
    """The named message has no run yet: its next send will be stopped at once."""
    ORPHAN = "orphan"
    """The run's lease has expired: take it over and close it (the stop is recorded)."""


class StopRequested(Struct, frozen=True, kw_only=True):
    """Answer of `request_stop`."""

    status: StopStatus
    run_id: RunId | None = None


class TakenOver(Struct, frozen=True, kw_only=True):
    """A run that is ours to close: its key with the new fence, and what it held.

    `next`: its next sequence; `opened`: where its records begin; `stopped_by`: a stop was
    recorded before its producer died.
    """

    key: RunKey
    run: RunInfo
    next: int
    opened: str
    stopped_by: str | None


class Recalled(Struct, frozen=True, kw_only=True):
    """What is kept for going on with a run: `OpenRun.facts`, and the last point remembered.

    Either is empty if nothing was kept.
    """

    facts: bytes
    point: bytes
