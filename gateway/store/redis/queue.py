"""The queue of a session, and its steers. The contract is in `store/queue/contract.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from midstream.ids import MessageId, RunId
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.queue.calls import (
    Changed,
    ChangeStatus,
    Enqueued,
    EnqueueStatus,
    GivenSteer,
    Steered,
    SteerOutcome,
    SteerStatus,
    Turn,
)
from midstream.store.queue.codec import decode_entry_of_queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import SessionId
    from midstream.store.calls import RunKey
    from midstream.store.queue.calls import ChangeEntry, Enqueue, QueueChange, Steer
    from midstream.store.queue.state import QueuedMessage
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
            after_ms, has_steers = int(found[0]) + 1, bool(found[1])
            if has_steers:
                await self._client.run_all(self._hints.steers(session_id, after_ms))
            else:
                await self._client.run(self._hints.queue(session_id, after_ms))
        else:
            await self._client.run_all(self._hints.forget_queue(session_id))
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


class StoredSteers:
    """The part of the store that keeps steers."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._hints = redis.hints
        self._ttl_s = redis.ttl_s
        self._settings = redis.queue

    async def steer(self, request: Steer) -> Steered:
        """See SessionSteers."""
        session_id = request.session_id
        # It may come to the queue, and also if an older gateway closes its run.
        await self._client.run_all(self._hints.steers(session_id, self._settings.take_ms))
        status, run, outcome, is_due = await self._client.run(
            self._scripts.steer.call(
                self._keys.session(session_id),
                expected_owner=request.expected_owner,
                expected_tenant=request.expected_tenant,
                entry=request.id,
                hash=request.content_hash,
                size=len(request.message),
                by=request.by,
                request_key=request.request_key or "",
                content=b"%b\n%b" % (request.facts, bytes(request.message)),
                max_bytes=self._settings.max_bytes,
                expected_run=request.run_id or "",
                sender=request.sender,
                may_any=int(request.may_any),
                unsupported=int(not request.is_supported),
                is_send=int(request.is_send),
                back="1" if request.wants_back else "",
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Steered(
            status=SteerStatus(status.decode()),
            run_id=RunId(run.decode()) if run else None,
            outcome=SteerOutcome.read(outcome.decode()),
            is_due=bool(is_due),
        )

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
        """See SessionSteers."""
        await self._client.run_all(self._hints.steers(session_id, self._settings.take_ms))
        status, run, reason = await self._client.run(
            self._scripts.steer_entry.call(
                self._keys.session(session_id),
                entry=entry,
                expected_run=run_id or "",
                sender=sender,
                may_any=int(may_any),
                unsupported=int(not is_supported),
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Steered(
            status=SteerStatus(status.decode()),
            run_id=RunId(run.decode()) if run else None,
            outcome=SteerOutcome(reason=reason.decode()) if reason else None,
        )

    async def take_steers(
        self, key: RunKey, step: int | None, ids: Sequence[MessageId] = ()
    ) -> Sequence[GivenSteer]:
        """See SessionSteers."""
        status, *steers = await self._client.run(
            self._scripts.take_steers.call(
                self._keys.session(key.session_id),
                *ids,
                run=key.run_id,
                fence=key.fence,
                step="" if step is None else step,
            )
        )
        if status != TAKEN:
            return ()  # what became of the run is told where it is written
        return [GivenSteer(MessageId(id_.decode()), Raw(message)) for id_, message in steers]

    async def confirm_steers(self, key: RunKey, ids: Sequence[MessageId]) -> None:
        """See SessionSteers."""
        await self._client.run(
            self._scripts.confirm_steers.call(
                self._keys.session(key.session_id), *ids, run=key.run_id, ttl_s=self._ttl_s
            )
        )

    async def refuse_steer(self, key: RunKey, id_: MessageId, reason: str) -> None:
        """See SessionSteers."""
        await self._client.run(
            self._scripts.refuse_steer.call(
                self._keys.session(key.session_id),
                run=key.run_id,
                fence=key.fence,
                entry=id_,
                reason=reason,
                ttl_s=self._ttl_s,
            )
        )

    async def note_reader(self, key: RunKey, *, reads: bool) -> None:
        """See SessionSteers."""
        status = await self._client.run(
            self._scripts.note_reader.call(
                self._keys.session(key.session_id),
                run=key.run_id,
                fence=key.fence,
                reads=int(reads),
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(key.session_id)
