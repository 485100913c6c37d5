"""Changes of a session beside its runs: another version shown, messages deleted, all erased."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from midstream.errors import MessageNotFoundError, RunActiveError, StoreUnavailableError
from midstream.sessions.access import check_write, not_found
from midstream.store.calls import DeleteStatus, SelectStatus

if TYPE_CHECKING:
    from midstream.ids import MessageId, RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.stopping import Stopping
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionMeta

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""Attempts of a change: a dead run may be in the way, or the session begin anew."""


class Changing:
    """Selects and deletes messages, and erases sessions."""

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
            meta = await self._meta(caller, session_id)
            done = await self._store.delete(session_id, meta.position.epoch, message_id)
            run_id = done.run_id
            match done.status:
                case DeleteStatus.DELETED:
                    logger.info(
                        "messages_deleted session=%s message=%s", session_id, message_id or "all"
                    )
                    return
                case DeleteStatus.ABSENT:
                    raise _absent("delete", message_id)
                case DeleteStatus.ORPHAN if run_id is not None:
                    if not await self._reaper.close_orphan(session_id, run_id):
                        break
                case DeleteStatus.ACTIVE:
                    break
                case _:
                    pass  # it was erased, and has begun again: look who may
        raise _in_the_way("delete this", run_id)

    async def select(
        self, caller: Caller, session_id: SessionId, message_id: MessageId
    ) -> MessageId:
        """Show another version. See `SessionService.select`."""
        self._draining.check()
        run_id = None
        for _ in range(ATTEMPTS):
            meta = await self._meta(caller, session_id)
            name = caller.name_in(meta.tenant)
            done = await self._store.select(session_id, meta.position.epoch, message_id, by=name)
            run_id = done.run_id
            match done.status:
                case SelectStatus.SELECTED if done.head is not None:
                    return done.head
                case SelectStatus.ABSENT | SelectStatus.DELETED:
                    raise _absent("show", message_id)
                case SelectStatus.ORPHAN if run_id is not None:
                    if not await self._reaper.close_orphan(session_id, run_id):
                        break
                case SelectStatus.QUEUED:
                    raise RunActiveError(
                        "unable to show another version while messages wait in the queue; they "
                        "follow the version that is shown. Let them be answered, or remove them"
                    )
                case SelectStatus.ACTIVE:
                    break
                case _:
                    pass  # it was erased, and has begun again: look who may
        raise _in_the_way("show another version", run_id)

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Delete a session; what runs is stopped, and its readers told."""
        meta = await self._meta(caller, session_id)
        if meta.active_run_id is not None:
            try:
                await self._stopping.stop(caller, session_id, run_id=meta.active_run_id)
            except StoreUnavailableError as error:
                logger.info("erase_without_terminal session=%s reason=%s", session_id, error)
        await self._store.erase(session_id, reach=caller.reach(session_id, meta))

    async def _meta(self, caller: Caller, session_id: SessionId) -> SessionMeta:
        """Return a session that the caller may change."""
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        return meta


def _absent(what: str, message_id: MessageId | None) -> MessageNotFoundError:
    return MessageNotFoundError(
        f"unable to {what} this message; the session does not have it", messageId=message_id or ""
    )


def _in_the_way(what: str, run_id: RunId | None) -> RunActiveError:
    return RunActiveError(
        f"unable to {what} while an answer is being written; wait for it, or stop it first",
        **({} if run_id is None else {"runId": run_id}),
    )
