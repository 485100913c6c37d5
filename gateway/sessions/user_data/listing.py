"""Every session of one user, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError

if TYPE_CHECKING:
    from midstream.ids import SessionId, TenantId, UserId
    from midstream.store.contract import SessionStore

PAGE: Final = 200
LOOKS: Final = 3
"""A session that goes on while it is looked for moves to the front: the next look finds it."""


async def sessions_of(
    store: SessionStore, user: UserId, tenant: TenantId, *, begun_before_ms: float
) -> list[SessionId]:
    """Return the ids of a user's sessions, the newest activity first.

    Args:
        begun_before_ms: later ones are left out, so that this ends, whatever the user does.

    Raises:
        StoreUnavailableError: some are on a server that is away.
    """
    found: dict[SessionId, None] = {}
    for _ in range(LOOKS):
        before = len(found)
        found |= dict.fromkeys(await _look(store, user, tenant, begun_before_ms))
        if len(found) == before:
            break
    return list(found)


async def _look(
    store: SessionStore, user: UserId, tenant: TenantId, begun_before_ms: float
) -> list[SessionId]:
    seen: set[SessionId] = set()
    found: list[SessionId] = []
    before: int | None = None
    while True:
        page = await store.list_sessions(user, tenant=tenant, limit=PAGE, before_ms=before)
        if not page.is_whole:
            raise StoreUnavailableError(
                "unable to reach all sessions of this user; a part of Redis is away. Try again"
            )
        fresh = [meta for meta in page if meta.id not in seen]
        found += [meta.id for meta in fresh if meta.created_at_ms < begun_before_ms]
        seen |= {meta.id for meta in fresh}
        if not fresh:
            return found
        # Inclusive: several may share the last one's millisecond.
        before = page[-1].updated_at_ms + 1
