"""The queue of a session, as clients see it: data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.ids import MessageId, RunId
from midstream.protocol.messages import UIMessage

if TYPE_CHECKING:
    from midstream.store.records import QueuedMessage, QueueRecord, QueueState


class Sender(Struct, frozen=True):
    """Who sent an entry, as the gateway knows it. `kind`: `person`, or `agent` with its key."""

    id: str
    role: str
    kind: str


class QueueEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that waits for its run.

    `at`: when it was sent, in ms; `version`: counts its edits, from 1; `reason`: why it will not be
    answered.
    """

    id: MessageId
    message: Raw
    by: Raw
    at: int
    version: int
    reason: str = ""

    @classmethod
    def of(cls, stored: QueuedMessage) -> QueueEntry:
        """Return what clients see of an entry."""
        return cls(
            id=stored.id,
            message=stored.message,
            by=stored.by,
            at=stored.at_ms,
            version=stored.version,
            reason=stored.reason,
        )


class Queue(Struct, frozen=True, kw_only=True, rename="camel"):
    """The messages that wait for their runs, and those that came back.

    `paused`: why none is answered: `stopped` or `failed`. `waits_for`: the first waits for an
    `approval`, or for a client's `tool`. `unsent`: will not be answered; each has a `reason`.
    """

    entries: Sequence[QueueEntry] = ()
    paused: str | None = None
    waits_for: str | None = None
    unsent: Sequence[QueueEntry] = ()

    @classmethod
    def of(cls, state: QueueState) -> Queue:
        """Return what clients see of a queue."""
        return cls(
            entries=[QueueEntry.of(entry) for entry in state.entries],
            paused=state.paused,
            waits_for=state.waits_for,
            unsent=[QueueEntry.of(entry) for entry in state.unsent],
        )


class _Unsent(Struct, frozen=True):
    id: MessageId
    reason: str


class _QueueEvent(Struct, frozen=True, rename="camel", kw_only=True):
    order: Sequence[MessageId]
    paused: str | None
    waits_for: str | None
    unsent: Sequence[_Unsent]
    entry: Raw | UnsetType = UNSET


def encode_queue_event(record: QueueRecord) -> bytes:
    """Encode a change as followers get it: the order now, and the entry that is new or changed."""
    return msgspec.json.encode(
        _QueueEvent(
            order=record.order,
            paused=record.paused,
            waits_for=record.waits_for,
            unsent=[_Unsent(id_, reason) for id_, reason in record.unsent],
            entry=UNSET if record.entry is None else record.entry,
        )
    )


class Queued(Struct, frozen=True, kw_only=True):
    """Answer to a send that was queued.

    `position`: in the queue, from 1; 0 if its run was opened at once: `run_id` then.
    """

    id: MessageId
    position: int
    run_id: RunId | None = None


class EntryEdit(Struct, frozen=True, kw_only=True):
    """A change of an entry: of its message, of its place, or of both.

    Attributes:
        before: the entry that it is to stand before; None: the end.
        if_version: the version that is meant; None: any.
    """

    message: UIMessage | None = None
    before: MessageId | UnsetType | None = UNSET
    if_version: int | None = None
