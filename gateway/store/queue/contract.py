"""Contract of a session's queue and steers in the store; the rules of `contract.py` hold.

The step that closes a main run also takes the first entry, so that a process that dies right after
it loses nothing: whoever finds that the entry's run was not opened within a lease takes it anew. A
hint beside the leases (`ms:queues`, of steers also `ms:steers`) leads to such sessions; it is
written before an entry is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import MessageId, RunId, SessionId
    from midstream.store.calls import RunKey
    from midstream.store.queue.calls import (
        Changed,
        ChangeEntry,
        Enqueue,
        Enqueued,
        GivenSteer,
        QueueChange,
        Steer,
        Steered,
        Turn,
    )
    from midstream.store.queue.state import QueuedMessage


class SessionQueue(Protocol):
    """The messages of a session that wait for their runs."""

    async def enqueue(self, request: Enqueue) -> Enqueued:
        """Put a message at the end of the queue, if anything comes before it.

        Decides, in this order: owner and tenant; an entry of this id; a send, or a message, that
        is there already, and a run that is stopping with nothing queued behind it (`OPEN`: its
        send waits for the end); an idle session without a queue (`OPEN`); bounds. A pause ends if
        the session is idle, or its run is stopping: the person goes on.
        """
        ...

    async def take_entry(
        self, session_id: SessionId, mine: MessageId | None = None
    ) -> QueuedMessage | None:
        """Take the first entry, if no run is under way and nothing holds it up.

        It is the caller's for one lease: `open_run` with its id. Also judges the end of a run that
        an older gateway has closed.

        Args:
            mine: the entry that this process has taken already: return it.

        Returns:
            None: nothing is to be taken now. If there is something to take later, the hint says
            when to ask again.
        """
        ...

    async def change_entry(self, request: ChangeEntry) -> Changed:
        """Change an entry. One that is taken is changed by gateways alone."""
        ...

    async def change_queue(
        self, session_id: SessionId, how: QueueChange, entry: MessageId | None = None
    ) -> Changed:
        """Change the queue as a whole.

        `clear`: drop all entries but one that is taken. `resume`: a pause ends. `now`: an entry
        comes next, whatever the queue waits for, and also after a run that is stopped.
        """
        ...

    async def due_queues(self, limit: int) -> list[SessionId]:
        """Sessions to be looked at by `take_entry`."""
        ...

    async def next_turn(self) -> Turn:
        """Wait for a session whose next entry this process has taken by a close."""
        ...


class SessionSteers(Protocol):
    """Steers: messages for a session's main run.

    A steer waits until the run takes it up (`take_steers`), and has been taken up once the log has
    it (`confirm_steers`): a process that dies in between leaves it to the next one, or to the
    close. The step that closes the run gives back what was not taken up.
    """

    async def steer(self, request: Steer) -> Steered:
        """Let a message wait for the main run, or say why the run cannot have it.

        Decides, in this order: owner and tenant; a steer of this id; an entry of the queue, or a
        message, of this id; an idle session, if it `is_send`; bounds. One that the run cannot have
        goes to the front of the queue, unless its sender wants it back.
        """
        ...

    async def steer_entry(
        self,
        session_id: SessionId,
        entry: MessageId,
        *,
        run_id: RunId | None,
        sender: bytes,
        may_any: bool,
        is_supported: bool,
    ) -> Steered:
        """Take an entry out of the queue, for the main run. As of `steer`."""
        ...

    async def take_steers(
        self, key: RunKey, step: int | None, ids: Sequence[MessageId] = ()
    ) -> Sequence[GivenSteer]:
        """Return what waits for a run, oldest first; empty for a stale key.

        Args:
            step: the one that they are for; None: none of them is taken yet.
            ids: those that are for this step; none: all.
        """
        ...

    async def confirm_steers(self, key: RunKey, ids: Sequence[MessageId]) -> None:
        """Note that the log has these in the run's message. Harmless twice."""
        ...

    async def refuse_steer(self, key: RunKey, id_: MessageId, reason: str) -> None:
        """Give back a steer that waits for a run, as its close would. Harmless for a stale key.

        Args:
            reason: why the run cannot have it, in the AI SDK's words.
        """
        ...

    async def note_reader(self, key: RunKey, *, reads: bool) -> None:
        """Note whether the worker of a pushed run reads steers, for as long as its claim stands.

        What waits for a worker that `reads` none comes back, as `unsupported`.
        """
        ...
