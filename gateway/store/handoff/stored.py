"""Sessions in the hands of people. The contract is in `store/handoff/contract.py`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from midstream.ids import SessionId
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.handoff.calls import HandedOver, Handoff, HandOverStatus
from midstream.store.redis.hints import STALE_AFTER_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from midstream.ids import TenantId
    from midstream.store.handoff.calls import HandOver
    from midstream.store.records import SessionMeta
    from midstream.store.redis.access import RedisAccess
    from midstream.store.redis.reads import SessionReader


class StoredHandoffs:
    """The part of the store that keeps handoffs."""

    def __init__(self, redis: RedisAccess, reads: SessionReader) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._ttl_s = redis.ttl_s
        self._reads = reads

    async def hand_over(self, request: HandOver) -> HandedOver:
        """See SessionHandoffs."""
        session_id = request.session_id
        status, *found = await self._client.run(
            self._scripts.hand_over.call(
                self._keys.session(session_id),
                expected_owner=request.expected_owner,
                expected_tenant=request.expected_tenant,
                how=request.how,
                holder=request.holder,
                person=request.person,
                asked=request.asked,
                to=request.to,
                note=request.note,
                wait_ms=request.wait_ms,
                claim_ms=request.claim_ms,
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        handoff = Handoff.read(found[0])
        if handoff is not None:
            # Whatever became of the index: a session that is in the line is on it.
            await self.note_desk(request.expected_tenant, session_id, handoff.at_ms)
        return HandedOver(status=HandOverStatus(status.decode()), handoff=handoff)

    async def note_desk(self, tenant: TenantId, session_id: SessionId, at_ms: int) -> None:
        """See SessionHandoffs."""
        (name,) = self._keys.desk(tenant)
        await self._client.run_all(
            [("ZADD", name, at_ms, session_id), ("EXPIRE", name, self._ttl_s)]
        )

    async def desk(self, tenant: TenantId, limit: int) -> Sequence[SessionMeta]:
        """See SessionHandoffs."""
        (name,) = self._keys.desk(tenant)
        pairs = await self._client.run(("ZRANGE", name, 0, limit - 1, "WITHSCORES"))
        ids = [SessionId(member.decode()) for member in pairs[::2]]
        found, unknown = await self._reads.load_metas(ids)
        now = int(time.time() * 1000)
        there = {
            meta.id: meta
            for meta in found
            if meta.tenant == tenant and meta.handoff is not None and meta.handoff.at(now)
        }
        young = now - STALE_AFTER_MS  # its step may be under way
        stale = [
            session_id
            for session_id, score in zip(ids, pairs[1::2], strict=True)
            if session_id not in there and session_id not in unknown and int(score) < young
        ]
        await self.leave_desk(tenant, stale)
        return [there[session_id] for session_id in ids if session_id in there]

    async def leave_desk(self, tenant: TenantId, session_ids: Collection[SessionId]) -> None:
        """See SessionHandoffs."""
        if session_ids:
            (name,) = self._keys.desk(tenant)
            await self._client.run(("ZREM", name, *session_ids))
