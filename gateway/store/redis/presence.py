"""Presence in sessions, and readers of their own send. The contract is in `store/contract.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from midstream.store.redis.withdrawal import Withdrawal

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId, UserId
    from midstream.store.redis.access import RedisAccess


class StoredPresence:
    """The part of the store that tells processes of each other's readers."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys

    async def announce(
        self, session_id: SessionId, process: str, user: UserId, *, tabs: int, lifetime_ms: int
    ) -> None:
        """See SessionStore."""
        await self._client.run(
            self._scripts.presence.call(
                self._keys.presence(session_id),
                process=process,
                lifetime_ms=lifetime_ms,
                user=user,
                tabs=tabs,
                dead="",
            )
        )

    async def withdraw(self, processes: str, *, lifetime_ms: int) -> None:
        """See SessionStore."""
        withdrawal = Withdrawal(self._client, self._keys, self._scripts, lifetime_ms)
        await withdrawal.of(processes)

    async def presence(self, session_id: SessionId, *, lifetime_ms: int) -> Raw:
        """See SessionStore."""
        look = self._scripts.presence.call(
            self._keys.presence(session_id),
            process="",
            lifetime_ms=lifetime_ms,
            user="",
            tabs=0,
            dead="",
        )
        return Raw(await self._client.run(look))

    # -- own sends ----------------------------------------------------------------------

    async def mark_reading(
        self, session_id: SessionId, run_id: RunId, client: str, *, lifetime_ms: int
    ) -> None:
        """See SessionStore."""
        own, reader = self._keys.own(session_id), f"{run_id}\n{client}"
        await self._client.run_all([("HSET", own, reader, 1), ("PEXPIRE", own, lifetime_ms)])

    async def forget_reading(self, session_id: SessionId, run_id: RunId, client: str) -> None:
        """See SessionStore."""
        await self._client.run(("HDEL", self._keys.own(session_id), f"{run_id}\n{client}"))

    async def is_marked_reading(self, session_id: SessionId, run_id: RunId, client: str) -> bool:
        """See SessionStore."""
        asked = ("HEXISTS", self._keys.own(session_id), f"{run_id}\n{client}")
        return bool(await self._client.run(asked))
