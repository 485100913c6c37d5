"""The queue of a session, and messages for its running answer, as clients see them: data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.ids import MessageId, RunId
from midstream.protocol.messages import UIMessage
from midstream.store.queue.calls import SteerOutcome

if TYPE_CHECKING:
    from midstream.store.queue.state import QueuedMessage, QueueState, WaitingSteer
    from midstream.store.records import QueueRecord, SteerRecord


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


class SteerEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """A message that waits for the running answer. As `queued.QueueEntry`."""

    id: MessageId
    run_id: RunId
    message: Raw
    by: Raw
    at: int


def entries_of(steers: Sequence[WaitingSteer]) -> list[SteerEntry]:
    """Return what clients see of those that wait."""
    return [
        SteerEntry(id=each.id, run_id=each.run_id, message=each.message, by=each.by, at=each.at_ms)
        for each in steers
    ]


class AskedSteer(Struct, frozen=True, kw_only=True):
    """A message that a client gives to the running answer.

    Attributes:
        run_id: the run that is meant; None: whichever is under way.
        wait_s: how long the client waits for the outcome.
        wants_back: one that is not delivered goes back to its sender, and not to the queue.
    """

    message: UIMessage
    run_id: RunId | None = None
    wait_s: float = 0.0
    wants_back: bool = False


class SteerAnswer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of a message, in the AI SDK's words. `type`: `pending` while it waits."""

    id: MessageId
    type: str
    run_id: RunId | UnsetType = UNSET
    step_number: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET

    @classmethod
    def of(cls, id_: MessageId, run_id: RunId | None, outcome: SteerOutcome | None) -> SteerAnswer:
        """Say an outcome."""
        run = UNSET if run_id is None else run_id
        if outcome is None:
            return cls(id=id_, type="pending", run_id=run)
        if outcome.step is not None:
            return cls(id=id_, type="delivered", run_id=run, step_number=outcome.step)
        return cls(id=id_, type="not-delivered", run_id=run, reason=outcome.reason)


class _SteerEvent(Struct, frozen=True, rename="camel"):
    outcome: SteerAnswer
    entry: Raw | UnsetType = UNSET


def encode_steer_event(record: SteerRecord) -> bytes:
    """Encode a steer as followers get it: its outcome, and of one that waits its message."""
    outcome = SteerAnswer.of(record.id, record.run_id, SteerOutcome.read(record.outcome))
    entry = UNSET if record.entry is None else record.entry
    return msgspec.json.encode(_SteerEvent(outcome, entry))
