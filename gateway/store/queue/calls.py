"""Requests to a session's queue and steers, and answers: frozen data. See `queue/contract.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self, TypeAlias

from msgspec import Raw, Struct

from midstream.ids import MessageId, RunId, SessionId, TenantId, UserId


class Enqueue(Struct, frozen=True, kw_only=True):
    """Arguments of `enqueue`.

    Attributes:
        message: a UIMessage as JSON on one line.
        content_hash: of it, as of `NewMessage`.
        by: who sent it, as a JSON object.
        facts: of its run, as JSON; no client is ever shown it.
        request_key: the client's key for this send.
        has_reader: a response waits for the run.
    """

    session_id: SessionId
    expected_owner: UserId
    expected_tenant: TenantId
    id: MessageId
    message: Raw
    content_hash: str
    by: bytes
    facts: bytes
    request_key: str | None = None
    has_reader: bool = False


class EnqueueStatus(StrEnum):
    """Outcome of `enqueue`. Only QUEUED changed anything."""

    QUEUED = "queued"
    """It is in the queue, now or before."""
    OPEN = "open"
    """Nothing comes before it, or it is there already: open its run."""
    CONFLICT = "conflict"
    """The same id is there with other content."""
    FULL = "full"
    """There are as many entries, or bytes, as may be."""
    READERS = "readers"
    """As many responses of this person wait as may."""
    DENIED = "denied"
    """The session's owner is not `expected_owner`, or its tenant not `expected_tenant`."""


class Enqueued(Struct, frozen=True, kw_only=True):
    """Answer of `enqueue`.

    `place`: in the queue, from 1. `is_due`: no end of a run will bring its turn: take it.
    """

    status: EnqueueStatus
    place: int = 0
    is_due: bool = False


EntryChange: TypeAlias = Literal["edit", "move", "drop", "fail", "unread", "answered"]
QueueChange: TypeAlias = Literal["clear", "resume", "now"]


class ChangeEntry(Struct, frozen=True, kw_only=True):
    """Arguments of `change_entry`.

    Attributes:
        how: `edit` its message; `move` it `before` another, or to the end; `drop` it; `fail`: set
            it aside for a `reason`; `unread`: nobody waits for it any more; `answered`: drop it, as
            it has a run.
        if_version: the version that is meant; None: any.
    """

    session_id: SessionId
    id: MessageId
    how: EntryChange
    if_version: int | None = None
    before: MessageId | None = None
    message: Raw = Raw(b"")
    content_hash: str = ""
    reason: str = ""


class ChangeStatus(StrEnum):
    """Outcome of a change of the queue. Only CHANGED changed anything."""

    CHANGED = "changed"
    TAKEN = "taken"
    """The entry has its run, or will have it at once."""
    ABSENT = "absent"
    """There is no such entry."""
    VERSION = "version"
    """It has another version."""
    FULL = "full"
    """With it, the queue would have more bytes than it may."""


class Changed(Struct, frozen=True, kw_only=True):
    """Answer to a change.

    Attributes:
        version: of the entry.
        run_id: the run that has taken the entry, if it is known.
        active_run_id: of a change of the whole: the main run under way.
    """

    status: ChangeStatus
    version: int = 0
    run_id: RunId | None = None
    active_run_id: RunId | None = None


class Turn(Struct, frozen=True):
    """A session whose next entry this process has taken, by closing the run before it.

    `after_death`: that run was interrupted. Of a dead process there may be hundreds.
    """

    session_id: SessionId
    entry: MessageId
    after_death: bool


class SteerOutcome(Struct, frozen=True, kw_only=True):
    """What became of a steer: delivered in a step, or not, for a reason of the AI SDK's."""

    step: int | None = None
    reason: str = ""

    @classmethod
    def read(cls, stored: str) -> Self | None:
        """Read an outcome as it is stored; None: it is not decided."""
        kind, _, value = stored.partition(" ")
        if kind == "delivered":
            return cls(step=int(value or 0))
        return cls(reason=value) if kind == "not-delivered" else None


class Steer(Struct, frozen=True, kw_only=True):
    """Arguments of `steer`.

    Attributes:
        message: a UIMessage as JSON on one line.
        content_hash: of it, as of `NewMessage`.
        by: who sent it, as a JSON object; `facts`: of its run, if it comes to the queue.
        run_id: the run that is meant; None: whichever is under way.
        sender: who asks, as of `OpenRun`.
        may_any: whether they may steer the turns of others.
        is_supported: whether the run's agent takes messages.
        is_send: an idle session is left alone: the message is to be sent.
        wants_back: one that is not delivered goes back to its sender, and not to the queue.
    """

    session_id: SessionId
    expected_owner: UserId
    expected_tenant: TenantId
    id: MessageId
    message: Raw
    content_hash: str
    by: bytes
    facts: bytes
    sender: bytes
    may_any: bool
    is_supported: bool = True
    run_id: RunId | None = None
    request_key: str | None = None
    is_send: bool = False
    wants_back: bool = False


class SteerStatus(StrEnum):
    """Outcome of a request. Only PENDING and DECIDED changed anything."""

    PENDING = "pending"
    """It waits for the run, now or before."""
    DECIDED = "decided"
    """Its outcome is known, now or before."""
    QUEUED = "queued"
    """It is in the queue: `steer_entry` takes it from there."""
    IDLE = "idle"
    """Nothing runs."""
    STORED = "stored"
    """The message was sent before."""
    REFUSED = "refused"
    """Of a queued one: the run cannot have it, and it keeps its place."""
    TAKEN = "taken"
    """The entry has its run, or will have it at once."""
    ABSENT = "absent"
    """There is no such entry."""
    CONFLICT = "conflict"
    """The same id has other content."""
    FULL = "full"
    """There are as many entries and steers, or bytes, as may be."""
    DENIED = "denied"
    """The session's owner is not `expected_owner`, or its tenant not `expected_tenant`."""


class Steered(Struct, frozen=True, kw_only=True):
    """Answer to a request.

    `is_due`: it came to the queue of an idle session: take it.
    """

    status: SteerStatus
    run_id: RunId | None = None
    outcome: SteerOutcome | None = None
    is_due: bool = False


class GivenSteer(Struct, frozen=True):
    """A message that a run's step is to take up."""

    id: MessageId
    message: Raw
