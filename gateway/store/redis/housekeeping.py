"""Deleting, erasing and trimming. The contract is in `store/contract.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.ids import EVERYWHERE, Reach, RunId, SessionId
from midstream.store.calls import DeleteStatus, Deletion
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.redis.access import owner_of

if TYPE_CHECKING:
    from midstream.ids import MessageId
    from midstream.store.redis.access import RedisAccess


class Housekeeping:
    """The part of the store that removes."""

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
            self._hints.forget_trim([session_id]),
        ]
        if open_runs:
            stale.append(self._hints.forget_lease((session_id, run) for run in open_runs))
            stale += [self._hints.forget_wait(session_id, run) for run in open_runs]
        await self._client.run_all(stale)
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
        replies = await self._client.run_all(commands)
        # A newer gateway trims what it alone may write; those must not hold up the others here.
        newer = [id_ for id_, reply in zip(due, replies, strict=True) if reply == NEWER]
        later = [self._hints.trim(id_, self._reconnect_window_ms) for id_ in newer]
        await self._client.run_all([self._hints.forget_trim(due), *later])
        return len(due)
