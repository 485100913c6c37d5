"""Erasure of all sessions of a user."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from midstream.errors import ConflictError, SessionNotFoundError
from midstream.sessions.user_data.listing import sessions_of
from midstream.sessions.user_data.rights import check_user

if TYPE_CHECKING:
    from midstream.ids import SessionId, TenantId, UserId
    from midstream.sessions.access import Caller
    from midstream.sessions.changing import Changing
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

ROUNDS: Final = 5
"""Looks for what is left. A session that one erasure misses is found by the next look."""
PROGRESS: Final = 500
"""Sessions between two lines in the log."""


class Erasure:
    """Erases users.

    Args:
        rewrite: makes Redis's file forget what was erased, where the gateway owns that Redis.
    """

    def __init__(self, store: SessionStore, changing: Changing, *, rewrite: bool) -> None:
        self._store = store
        self._changing = changing
        self._rewrite = rewrite

    async def erase(self, caller: Caller, user: UserId, tenant: TenantId) -> list[SessionId]:
        """Stop what runs, and erase all sessions that the user began before now. Return their ids.

        What they said in sessions of others stays there. Twice does no harm.

        Raises:
            ConflictError: some are still there after several looks.
            ForbiddenError, InvalidRequestError: see `check_user`.
            StoreUnavailableError: some are left, on a server that is away.
        """
        check_user(caller, user, tenant)
        now_ms = time.time() * 1000
        erased: list[SessionId] = []
        for _ in range(ROUNDS):
            left = await sessions_of(self._store, user, tenant, begun_before_ms=now_ms)
            if not left:
                break
            for session_id in left:
                await self._erase(caller, session_id)
                erased.append(session_id)
                if len(erased) % PROGRESS == 0:
                    logger.info("erasing_user sessions=%d", len(erased))
        else:
            raise ConflictError("unable to erase all sessions of this user; try again")
        if self._rewrite:
            await self._store.rewrite_file()
        own = (caller.user, caller.tenant) == (user, tenant)
        logger.info("user_erased sessions=%d by=%s", len(erased), "user" if own else caller.role)
        return list(dict.fromkeys(erased))

    async def _erase(self, caller: Caller, session_id: SessionId) -> None:
        try:
            await self._changing.erase(caller, session_id)
        except SessionNotFoundError:
            logger.debug("erased_meanwhile session=%s", session_id)
