"""The queue of a session. The contract is in `store/queue_contract.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from midstream.ids import MessageId, RunId
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.queue_calls import (
    Changed,
    ChangeStatus,
    Enqueued,
    EnqueueStatus,
    Turn,
)
from midstream.store.queue_codec import decode_entry_of_queue

if TYPE_CHECKING:
    from midstream.ids import SessionId
    from midstream.store.queue_calls import ChangeEntry, Enqueue, QueueChange
    from midstream.store.records import QueuedMessage
    from midstream.store.redis.access import RedisAccess

TAKEN: Final = b"taken"
LATER: Final = b"later"

MAX_TURNS: Final = 10_000
"""Turns that wait here to be opened. The hint leads to further ones."""


class StoredQueue:
    """The part of the store that keeps queues."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._hints = redis.hints
        self._ttl_s = redis.ttl_s
        self._settings = redis.queue
        self._turns: asyncio.Queue[Turn] = asyncio.Queue(MAX_TURNS)

    def note_turn(self, turn: Turn) -> None:
        """Note an entry that was taken by a close."""
        if not self._turns.full():
            self._turns.put_nowait(turn)

    async def next_turn(self) -> Turn:
        """See SessionQueue."""
        return await self._turns.get()

    async def enqueue(self, request: Enqueue) -> Enqueued:
        """See SessionQueue."""
        session_id = request.session_id
        await self._client.run(self._hints.queue(session_id, self._settings.take_ms))
        status, place, is_due = await self._client.run(
            self._scripts.enqueue.call(
                self._keys.session(session_id),
                expected_owner=request.expected_owner,
                expected_tenant=request.expected_tenant,
                entry=request.id,
                hash=request.content_hash,
                size=len(request.message),
                by=request.by,
                reader="1" if request.has_reader else "",
                request_key=request.request_key or "",
                content=b"%b\n%b" % (request.facts, bytes(request.message)),
                max_bytes=self._settings.max_bytes,
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Enqueued(status=EnqueueStatus(status.decode()), place=place, is_due=bool(is_due))

    async def take_entry(
        self, session_id: SessionId, mine: MessageId | None = None
    ) -> QueuedMessage | None:
        """See SessionQueue."""
        status, *found = await self._client.run(
            self._scripts.take_entry.call(
                self._keys.session(session_id), mine=mine or "", take_ms=self._settings.take_ms
            )
        )
        if status == NEWER:
            # Its hint leads a newer gateway to it; this one looks again.
            await self._client.run(self._hints.queue(session_id, self._settings.take_ms))
            return None
        if status == TAKEN:
            id_, header, content = found
            await self._client.run(self._hints.queue(session_id, self._settings.take_ms))
            return decode_entry_of_queue(id_, b"", header, content)
        if status == LATER:
            await self._client.run(self._hints.queue(session_id, int(found[0]) + 1))
        else:
            await self._client.run(self._hints.forget_queue(session_id))
        return None

    async def change_entry(self, request: ChangeEntry) -> Changed:
        """See SessionQueue."""
        status, version, run = await self._client.run(
            self._scripts.change_entry.call(
                self._keys.session(request.session_id),
                entry=request.id,
                how=request.how,
                if_version="" if request.if_version is None else request.if_version,
                before=request.before or "",
                hash=request.content_hash,
                size=len(request.message),
                message_json=bytes(request.message),
                reason=request.reason,
                max_bytes=self._settings.max_bytes,
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(request.session_id)
        return Changed(
            status=ChangeStatus(status.decode()),
            version=version,
            run_id=RunId(run.decode()) if run else None,
        )

    async def change_queue(
        self, session_id: SessionId, how: QueueChange, entry: MessageId | None = None
    ) -> Changed:
        """See SessionQueue."""
        await self._client.run(self._hints.queue(session_id, self._settings.take_ms))
        status, active, run = await self._client.run(
            self._scripts.change_queue.call(
                self._keys.session(session_id), how=how, entry=entry or "", ttl_s=self._ttl_s
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Changed(
            status=ChangeStatus(status.decode()),
            run_id=RunId(run.decode()) if run else None,
            active_run_id=RunId(active.decode()) if active else None,
        )

    async def due_queues(self, limit: int) -> list[SessionId]:
        """See SessionQueue."""
        return await self._hints.due_queues(limit)
