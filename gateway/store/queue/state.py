"""What waits in a session, at one moment."""

from __future__ import annotations

from msgspec import Raw, Struct

from midstream.ids import MessageId, RunId


class QueuedMessage(Struct, frozen=True, kw_only=True):
    """An entry of the queue.

    `by`: who sent it, as a JSON object. `facts`: of its run, as JSON. `reason`: why it will not be
    answered; empty: it will be. `version`: counts its edits.
    """

    id: MessageId
    version: int
    content_hash: str
    at_ms: int
    by: Raw
    facts: Raw
    message: Raw
    reason: str = ""


class QueueState(Struct, frozen=True, kw_only=True):
    """The queue at one moment; see `QueueRecord`."""

    entries: tuple[QueuedMessage, ...] = ()
    paused: str | None = None
    waits_for: str | None = None
    unsent: tuple[QueuedMessage, ...] = ()


class WaitingSteer(Struct, frozen=True, kw_only=True):
    """A message that waits for a run to take it up. As `QueuedMessage`."""

    id: MessageId
    run_id: RunId
    at_ms: int
    by: Raw
    message: Raw
