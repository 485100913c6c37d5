"""Requests to the store, and its answers: frozen data, no behaviour. See `contract.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from msgspec import Raw, Struct

from midstream.ids import MessageId, RunId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.records import ChunksRecord, RunInfo, RunOutcome

DETECTION_S: Final = 1.5
"""Longest time for which a planned failover loses what is stored: until the store knows of it.
Sentinels learn within a second that a replica was promoted, and are asked twice a second."""

FAILOVER_S: Final = 5.0
"""Longest time for which the servers of a cluster, or Sentinels, may wait before they replace a
silent primary. One that is only cut off from them may acknowledge for so long what is lost then."""

HELD_S: Final = 2 * FAILOVER_S
"""Time for which a producer can append again what such a primary had acknowledged."""


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message to store. `message` is a UIMessage as JSON on one line."""

    id: MessageId
    parent_id: MessageId | None
    content_hash: str
    message: Raw


QueueRule: TypeAlias = Literal["keep", "resume", "clear"]
"""Effect on the queue of a main run that opens: a pause ends, or all entries are set aside, because
the conversation goes on from another place than they were sent to."""


class OpenRun(Struct, frozen=True, kw_only=True):
    """Arguments of `open_run`.

    Args:
        expected_owner, expected_tenant: who owns the session, and whose people they are one
            of, as the caller just read it; for a session that does not exist, as it will be.
        run: state OPEN; `started_at_ms` is set by the script. With `side`, it is opened beside the
            main run.
        user_message: the message to add, or None when the run answers or continues a
            message that is stored.
        content_hash: of the user message (or of the tool results, for a continuation).
        replaced_message: for a continuation, the assistant message with the results in it.
        earlier: for an edit that keeps the message's id, the message as it was, under an id of
            its own. It stays as another version, and what followed it hangs there. Needs
            `expected_offset`, as it was read.
        new_epoch: used if the session does not exist.
        request_key: the client's key for this send; a send with a known key never starts
            a second run.
        expected_offset: the log's head when the caller read it (`0-0` if there was no
            session): what it decided holds only while nothing has changed since. None: open
            whatever the log holds.
        wait_ms: the run waits for so long, until somebody claims it, in place of having a lease.
        entry: the entry of the queue whose run this is: it must have been taken, and is in the
            queue no more when this returns.
        queue_rule: see QueueRule.
        facts: what another process would need to resume the run (`recall`); no client
            is ever shown it. Gone when the run ends.
        attempt: the number of the attempt that claims the run; None: it is not counted.
        patience_ms: how long the run waits for another attempt once its producer is silent; None,
            or less than its lease: as long as its lease.
        after: the session's newest run, which has the same request key, and was interrupted: the
            key is the new run's from now on.
        sender: who may steer the run besides the owner and operators, as a JSON string; empty:
            nobody.
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
    wait_ms: int | None = None
    entry: MessageId | None = None
    queue_rule: QueueRule = "resume"
    earlier: NewMessage | None = None
    facts: bytes = b""
    attempt: int | None = None
    patience_ms: int | None = None
    after: RunId | None = None
    sender: bytes = b""


class OpenStatus(StrEnum):
    """Outcome of `open_run`. Only OPENED changed anything."""

    OPENED = "opened"
    KNOWN = "known"
    """The same send arrived before: `run` is that one, active or ended."""
    ACTIVE = "active"
    """Another run is under way: `run` is that one."""
    ORPHAN = "orphan"
    """The active run's lease has expired: take it over, close it, and open again."""
    STALE = "stale"
    """The log's head is not `expected_offset`, and none of the above: load and decide again."""
    TAKEN = "taken"
    """The first entry of the queue was taken: its run comes first."""
    WITHDRAWN = "withdrawn"
    """The entry is not the one that was taken, or not in the queue any more."""
    FULL = "full"
    """As many side runs are under way as may be."""
    PARENT_ENDED = "parent_ended"
    """The side run's parent has ended, or is being stopped."""
    MESSAGE_KNOWN = "message_known"
    """The side run's prompt has the id of another message."""
    FENCED = "fenced"
    """A later attempt has claimed the run that this one was to follow."""
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
    """Outcome of one append."""

    APPENDED = "appended"
    DUPLICATE = "duplicate"
    """Stored before: success."""
    FENCED = "fenced"
    """Taken over, or ended."""
    GAP = "gap"
    """`next` is the expected sequence: the log lost acknowledged chunks, or we skipped some."""
    GONE = "gone"
    """The run is not in Redis any more: erased, or the log was lost."""
    NEWER = "newer"
    """The session's format is above ours: newer gateways alone may write it (`format.py`)."""
    UNKNOWN = "unknown"
    """Of one of several servers: send the same batch again; what became of others is known."""


class Appended(Struct, frozen=True, gc=False, kw_only=True):
    """Answer to one append. `stopped_by`: a stop is recorded for the run.

    `next_entry`: of the queue, taken by the close of the run before it.
    """

    status: AppendStatus
    next: int = 0
    offset: str = ""
    stopped_by: str | None = None
    next_entry: MessageId | None = None


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
        waits_for: what the message waits for: `approval`, `tool`, or None. The queue waits, too.
        undelivered: why steers that wait cannot be delivered any more, in the AI SDK's words.
    """

    key: RunKey
    chunks: ChunksRecord
    outcome: RunOutcome
    message: NewMessage | None
    trim_before_ms: int
    waits_for: str | None = None
    undelivered: str = "finished"


class DeleteStatus(StrEnum):
    """Outcome of `delete`."""

    DELETED = "deleted"
    """It is deleted, now or before."""
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


class SelectStatus(StrEnum):
    """Outcome of `select`."""

    SELECTED = "selected"
    """It is shown, now or before; `head` is the last message of its path."""
    ABSENT = "absent"
    """There never was such a message, or it is of a side run."""
    DELETED = "deleted"
    """It was deleted."""
    ACTIVE = "active"
    """The main run is under way."""
    ORPHAN = "orphan"
    """The same, and its lease has expired: take it over, close it, and select again."""
    QUEUED = "queued"
    """Messages wait in the queue."""
    GONE = "gone"
    """The session is not of this epoch (any more)."""


class Selection(Struct, frozen=True, kw_only=True):
    """Answer of `select`. `run_id`: of the run that is in the way."""

    status: SelectStatus
    head: MessageId | None = None
    run_id: RunId | None = None


class StopStatus(StrEnum):
    """Outcome of `request_stop`."""

    STOPPING = "stopping"
    """Recorded, now or before; `run_id` will end."""
    NOTHING = "nothing"
    """No such run is under way."""
    PREVENTED = "prevented"
    """The named message has no run yet: its next send will be stopped at once."""
    ORPHAN = "orphan"
    """The run's lease has expired: take it over and close it (the stop is recorded)."""


class StopRequested(Struct, frozen=True, kw_only=True):
    """Answer of `request_stop`. `beside`: of the side runs that are stopped with the main one."""

    status: StopStatus
    run_id: RunId | None = None
    beside: tuple[StopRequested, ...] = ()


class WaitStatus(StrEnum):
    """Outcome of `wait`."""

    WAITING = "waiting"
    """The run waits, now or before; its key is stale."""
    STOPPING = "stopping"
    """A stop came first: the run is still ours, to close."""
    FENCED = "fenced"
    """Taken over, or ended."""
    GONE = "gone"
    """The run is not in Redis any more."""


class Say(Struct, frozen=True, kw_only=True):
    """Arguments of `say`.

    Args:
        expected_owner, expected_tenant: of the session, as the caller just read it.
        run: the main run, which waits; it answers the message from then on.
        message: of a person; it follows the one that the run has answered until then.
        request_key: the client's key for this send.
    """

    session_id: SessionId
    expected_owner: UserId
    expected_tenant: TenantId
    run: RunInfo
    message: NewMessage
    request_key: str | None = None


class SayStatus(StrEnum):
    """Outcome of `say`."""

    SAID = "said"
    """It is on the path, now or before, and the run will answer it."""
    CONFLICT = "conflict"
    """The session has other content, or another place, for its id."""
    STALE = "stale"
    """The run answers another message by now: load and decide again."""
    ELSEWHERE = "elsewhere"
    """The run does not wait any more, or is not the main one."""
    DENIED = "denied"
    """The session's owner is not `expected_owner`, or its tenant not `expected_tenant`."""


class TakenOver(Struct, frozen=True, kw_only=True):
    """A run that is ours: its key with the new fence, and what it held.

    `next`: its next sequence; `opened`: where its records begin; `stopped_by`: a stop was
    recorded before its producer died.
    """

    key: RunKey
    run: RunInfo
    next: int
    opened: str
    stopped_by: str | None


class Recalled(Struct, frozen=True, kw_only=True):
    """State kept for resuming a run: `OpenRun.facts`, and the last point remembered.

    Either is empty if nothing was kept.
    """

    facts: bytes
    point: bytes
