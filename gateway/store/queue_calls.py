"""Requests to a session's queue, and its answers: frozen data. See `queue_contract.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

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
