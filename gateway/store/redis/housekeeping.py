"""Changes of the tree of messages, erasing and trimming.

The contract is `store/contract.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from midstream.errors import StoreError
from midstream.ids import EVERYWHERE, MessageId, Reach, RunId, SessionId
from midstream.store.calls import DeleteStatus, Deletion, Selection, SelectStatus
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.record_codec import encode_by
from midstream.store.redis.access import owner_of

if TYPE_CHECKING:
    from midstream.store.redis.access import RedisAccess
    from midstream.store.scripts.script import Command

logger = logging.getLogger(__name__)


class Housekeeping:
    """The part of the store that changes the tree, and removes."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._hints = redis.hints
        self._ttl_s = redis.ttl_s
        self._reconnect_window_ms = redis.reconnect_window_ms

    async def delete(
        self, session_id: SessionId, epoch: str, message_id: MessageId | None
    ) -> Deletion:
        """See SessionStore."""
        keys = self._keys.session(session_id)
        status, run = await self._client.run(
            self._scripts.delete.call(
                keys, epoch=epoch, message=message_id or "", ttl_s=self._ttl_s
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Deletion(
            status=DeleteStatus(status.decode()), run_id=RunId(run.decode()) if run else None
        )

    async def select(
        self, session_id: SessionId, epoch: str, message_id: MessageId, *, by: str
    ) -> Selection:
        """See SessionStore."""
        status, found = await self._client.run(
            self._scripts.select.call(
                self._keys.session(session_id),
                epoch=epoch,
                message=message_id,
                by=encode_by(by),
                ttl_s=self._ttl_s,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        outcome, id_ = SelectStatus(status.decode()), found.decode()
        if outcome is SelectStatus.SELECTED:
            return Selection(status=outcome, head=MessageId(id_))
        return Selection(status=outcome, run_id=RunId(id_) if id_ else None)

    async def rewrite_file(self) -> None:
        """See SessionStore."""
        try:
            await self._client.run(("BGREWRITEAOF",))
        except StoreError as error:
            # One may be under way that began before: what was erased leaves with the next one.
            logger.warning("file_not_rewritten reason=%s", error)

    async def erase(self, session_id: SessionId, *, reach: Reach = EVERYWHERE) -> list[RunId]:
        """See SessionStore."""
        reply = await self._client.run(
            self._scripts.erase.call(self._keys.session(session_id), reach=reach)
        )
        if reply is None:
            return []
        if reply == NEWER:
            raise upgrade_needed(session_id)
        owner, tenant, runs = reply
        open_runs = [RunId(run.decode()) for run in runs]
        stale = [
            self._hints.forget_session(*owner_of(owner, tenant), [session_id]),
            self._hints.forget_trim(session_id),
            *self._hints.forget_lease((session_id, run) for run in open_runs),
            *(self._hints.forget_wait(session_id, run) for run in open_runs),
        ]
        # One that stays is removed by who meets it.
        await self._client.run_each(stale)
        return open_runs

    async def trim_due(self, limit: int) -> int:
        """See SessionStore."""
        due = await self._hints.due_trims(limit)
        if not due:
            return 0
        trim = self._scripts.trim
        commands = [
            trim.call(self._keys.session(id_), window_ms=self._reconnect_window_ms) for id_ in due
        ]
        replies = await self._client.run_each(commands)
        hints: list[Command] = []
        for id_, reply in zip(due, replies, strict=True):
            if isinstance(reply, StoreError):
                continue
            # A newer gateway trims what it alone may write; those must not hold up the others here.
            is_newer = reply == NEWER
            hints.append(
                self._hints.trim(id_, self._reconnect_window_ms)
                if is_newer
                else self._hints.forget_trim(id_)
            )
        if hints:
            await self._client.run_all(hints)
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        return len(due)
