"""Contract of a session's queue in the store; the rules of `contract.py` hold.

The step that closes a main run also takes the first entry, so that a process that dies right after
it loses nothing: whoever finds that the entry's run was not opened within a lease takes it anew. A
hint beside the leases (`ms:queues`) leads to such sessions; it is written before an entry is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from midstream.ids import MessageId, SessionId
    from midstream.store.queue_calls import (
        Changed,
        ChangeEntry,
        Enqueue,
        Enqueued,
        QueueChange,
        Turn,
    )
    from midstream.store.records import QueuedMessage


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
