"""The desk: the sessions of a tenant that wait for a person, or have one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec

from midstream.sessions.answerers.terms import DeskRow, answered_by, now_ms
from midstream.sessions.types import Idle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.ids import TenantId
    from midstream.sessions.draining import Draining
    from midstream.sessions.handoff.limits import HandoffLimits
    from midstream.sessions.log.presence import Presence
    from midstream.store.contract import SessionStore

MAX_TENANTS: Final = 1_000
"""Desks that are kept at hand: of no more tenants do operators look at once."""


class Desk:
    """Reads desks. Operators of one process share what is read of a tenant."""

    def __init__(
        self, store: SessionStore, presence: Presence, draining: Draining, limits: HandoffLimits
    ) -> None:
        self._store = store
        self._presence = presence
        self.draining = draining
        self.limits = limits
        self._read: dict[TenantId, tuple[float, Sequence[DeskRow]]] = {}
        self._lock = asyncio.Lock()

    async def rows(self, tenant: TenantId) -> Sequence[DeskRow]:
        """Return the sessions of a tenant's desk, the longest first, as they are now."""
        metas = await self._store.desk(tenant, self.limits.desk_rows)
        here = await asyncio.gather(*(self._presence.of(meta.id) for meta in metas))
        rows: list[DeskRow] = []
        place = 0
        now = now_ms()
        for meta, present in zip(metas, here, strict=True):
            handoff = None if meta.handoff is None else meta.handoff.at(now)
            if handoff is None:
                continue
            place += not handoff.holder
            rows.append(
                DeskRow(
                    id=meta.id,
                    title=meta.title,
                    user=meta.owner,
                    tenant=meta.tenant,
                    since_ms=handoff.at_ms,
                    updated_at_ms=meta.updated_at_ms,
                    place=None if handoff.holder else place,
                    answered_by=answered_by(handoff),
                    asked=handoff.asked,
                    here=present,
                )
            )
        return rows

    async def recent(self, tenant: TenantId) -> Sequence[DeskRow]:
        """Return the sessions as they were a moment ago."""
        async with self._lock:
            read = self._read.get(tenant)
            if read is None or time.monotonic() - read[0] >= self.limits.desk_interval_s:
                if len(self._read) >= MAX_TENANTS:
                    self._read.clear()
                rows = await self.rows(tenant)
                read = self._read[tenant] = (time.monotonic(), rows)
            return read[1]

    def follow(self, tenant: TenantId) -> DeskReader:
        """Return a reader of a tenant's desk: the whole of it, each time that it changes."""
        return DeskReader(self, tenant)


class DeskReader:
    """Follows a desk. Implements `answerers.contract.DeskFollower`."""

    def __init__(self, desk: Desk, tenant: TenantId) -> None:
        self._desk = desk
        self._tenant = tenant

    def write_to(self, sink: Callable[[bytes], bool]) -> None:
        """See `types.RunReader`. Everything is yielded."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[bytes | Idle]:
        """Yield the desk, then what it becomes, and heartbeats; ends with the connection."""
        limits, told, sent_at = self._desk.limits, b"", time.monotonic()
        while True:
            self._desk.draining.check()
            rows = msgspec.json.encode(await self._desk.recent(self._tenant))
            if rows != told:
                yield b'event: desk\ndata: {"waiting":%b}\n\n' % rows
                told, sent_at = rows, time.monotonic()
            elif time.monotonic() - sent_at >= limits.heartbeat_interval_s:
                yield Idle.HEARTBEAT
                sent_at = time.monotonic()
            await asyncio.sleep(limits.desk_interval_s)
