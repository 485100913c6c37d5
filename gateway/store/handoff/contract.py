"""The part of the store's contract by which a session is handed to a person, and back.

The rules of `contract.py` hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from midstream.ids import SessionId, TenantId
    from midstream.store.handoff.calls import HandedOver, HandOver
    from midstream.store.records import SessionMeta


class SessionHandoffs(Protocol):
    """Sessions in the hands of people, and the index of those of a tenant."""

    async def hand_over(self, request: HandOver) -> HandedOver:
        """Change who answers a session, if the one who asks may: the first claim wins.

        A claim that was not renewed in time has lapsed, and so has a wait for which nobody came:
        they are judged by Redis's clock. Asking again for a person changes nothing.
        """
        ...

    async def note_desk(self, tenant: TenantId, session_id: SessionId, at_ms: int) -> None:
        """Note in the tenant's index that a session is in the hands of people. A hint."""
        ...

    async def desk(self, tenant: TenantId, limit: int) -> Sequence[SessionMeta]:
        """Return sessions of the index that are handed over, the longest first.

        Entries that are wrong are removed.
        """
        ...

    async def leave_desk(self, tenant: TenantId, session_ids: Collection[SessionId]) -> None:
        """Remove sessions from a tenant's index."""
        ...
