"""Deletion of messages, which the conversation survives, and of sessions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from midstream.errors import MessageNotFoundError, RunActiveError, StoreUnavailableError
from midstream.sessions.access import check_write, not_found
from midstream.store.calls import DeleteStatus

if TYPE_CHECKING:
    from midstream.ids import MessageId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.stopping import Stopping
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""Attempts of a deletion: a dead run may be in the way, or the session begin anew."""


class Deleting:
    """Deletes messages, and sessions."""

    def __init__(
        self, store: SessionStore, reaper: Reaper, stopping: Stopping, draining: Draining
    ) -> None:
        self._store = store
        self._reaper = reaper
        self._stopping = stopping
        self._draining = draining

    async def delete(
        self, caller: Caller, session_id: SessionId, message_id: MessageId | None
    ) -> None:
        """Delete a message, or all. See `SessionService.delete`."""
        self._draining.check()
        run_id = None
        for _ in range(ATTEMPTS):
            meta = await self._store.load_meta(session_id)
            if meta is None or not caller.may_read(meta):
                raise not_found()
            check_write(caller, meta)
            done = await self._store.delete(session_id, meta.position.epoch, message_id)
            run_id = done.run_id
            match done.status:
                case DeleteStatus.DELETED:
                    logger.info(
                        "messages_deleted session=%s message=%s", session_id, message_id or "all"
                    )
                    return
                case DeleteStatus.ABSENT:
                    raise MessageNotFoundError(
                        "unable to delete this message; the session does not have it",
                        messageId=message_id or "",
                    )
                case DeleteStatus.ORPHAN if run_id is not None:
                    if not await self._reaper.close_orphan(session_id, run_id):
                        break
                case DeleteStatus.ACTIVE:
                    break
                case _:
                    pass  # it was erased, and has begun again: look who may
        raise RunActiveError(
            "unable to delete this while an answer is being written; wait for it, or stop it first",
            **({} if run_id is None else {"runId": run_id}),
        )

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Delete a session; what runs is stopped, and its readers told."""
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        if meta.active_run_id is not None:
            try:
                await self._stopping.stop(caller, session_id, run_id=meta.active_run_id)
            except StoreUnavailableError as error:
                logger.info("erase_without_terminal session=%s reason=%s", session_id, error)
        await self._store.erase(session_id, reach=caller.reach(session_id, meta))
