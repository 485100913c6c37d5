"""What a session's readers get, as typed records.

Later versions of the gateway may add values to `state`, `outcome` and `trigger`, fields to any
record, and events; unknown fields and events are passed over.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct


class _Record(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class RunSeen(_Record, frozen=True, kw_only=True):
    """A run. Every state but `ended` means that it is open.

    Attributes:
        message_id: the message that it writes.
        user_message_id: the message that it answers.
        continues: its message existed before, so its chunks are only the tail.
        outcome: of one that has ended: `finished`, `stopped`, `failed` or `interrupted`.
    """

    id: str
    state: str
    message_id: str
    user_message_id: str
    trigger: str
    agent: str = ""
    continues: bool = False
    side: bool = False
    outcome: str | None = None
    stopped_by: str | None = None
    started_at_ms: int = 0
    ended_at_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still bring chunks."""
        return self.state != "ended"


class Present(_Record, frozen=True, kw_only=True):
    """A user who has the session open, in so many tabs."""

    user: str
    tabs: int
    last_seen_ms: int


class Versions(_Record, frozen=True, kw_only=True):
    """The versions of a message, oldest first; `index`: the one that is shown."""

    ids: list[str]
    index: int


class Waiting(_Record, frozen=True, kw_only=True):
    """A message that waits in the queue, or came back from it: then it has a `reason`."""

    id: str
    message: dict[str, Any]
    at: int = 0
    version: int = 1
    reason: str = ""


class QueueSeen(_Record, frozen=True, kw_only=True):
    """The messages that wait for their runs, and those that came back unanswered."""

    entries: list[Waiting] = []
    paused: str | None = None
    waits_for: str | None = None
    unsent: list[Waiting] = []


class Snapshot(_Record, frozen=True, kw_only=True):
    """A session at one moment.

    Attributes:
        messages: UIMessages, oldest first, on the path that is shown; without the one that an open
            run writes.
        runs: the latest, oldest first.
        branches: the versions of those messages of which there are several.
    """

    id: str
    epoch: str
    offset: str
    title: str
    messages: list[dict[str, Any]]
    runs: list[RunSeen]
    branches: dict[str, Versions] = {}
    queue: QueueSeen = QueueSeen()
    presence: list[Present] = []

    @property
    def position(self) -> str | None:
        """From where `events(after=…)` goes on; None: the session does not exist."""
        return f"{self.epoch}:{self.offset}" if self.epoch else None


class _Event(_Record, frozen=True, kw_only=True):
    position: str | None = None


class SnapshotEvent(_Event, frozen=True, kw_only=True):
    """The session's present state; forget what came before. The first event, unless resumed."""

    snapshot: Snapshot


class MessageEvent(_Event, frozen=True, kw_only=True):
    """A message is stored: a person's, or the whole answer of a run that has ended."""

    message: dict[str, Any]
    parent_id: str | None = None
    run_id: str | None = None


class RunEvent(_Event, frozen=True, kw_only=True):
    """A run has begun, changed or ended."""

    run: RunSeen


class ChunksEvent(_Event, frozen=True, kw_only=True):
    """The next chunks of a run; `first` is the sequence of the first of them."""

    run_id: str
    first: int
    chunks: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """Their text, joined."""
        return "".join(each["delta"] for each in self.chunks if each["type"] == "text-delta")


class QueueEvent(_Event, frozen=True, kw_only=True):
    """The queue has changed: the order now, and the entry that is new or was changed."""

    order: list[str]
    paused: str | None = None
    waits_for: str | None = None
    unsent: list[dict[str, Any]] = []
    entry: Waiting | None = None


class SteerEvent(_Event, frozen=True, kw_only=True):
    """A message for the running answer: its outcome, and what waits."""

    outcome: dict[str, Any]
    entry: dict[str, Any] | None = None


class PresenceEvent(_Event, frozen=True, kw_only=True):
    """Who has the session open has changed."""

    here: list[Present]


class ErasedEvent(_Event, frozen=True, kw_only=True):
    """The session was deleted. The snapshot of nothing follows."""


class LostEvent(_Event, frozen=True, kw_only=True):
    """Redis has lost the session; it was not deleted. A snapshot follows."""


SessionEvent: TypeAlias = (
    SnapshotEvent
    | MessageEvent
    | RunEvent
    | ChunksEvent
    | QueueEvent
    | SteerEvent
    | PresenceEvent
    | ErasedEvent
    | LostEvent
)
"""An event of a session. `position`: from where `events(after=…)` goes on after it."""


class Sent(_Record, frozen=True, kw_only=True):
    """What became of a message.

    Attributes:
        message_id: its id.
        run_id: the run that answers it; None while it waits in the queue.
        position: in the queue, from 1; 0 for one that is answered at once.
    """

    message_id: str
    run_id: str | None = None
    position: int = 0
