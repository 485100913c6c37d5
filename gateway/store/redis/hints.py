"""The indexes outside a session's slot: which leases, trims and sessions to look at.

They are hints. The truth is in the session; who meets a stale hint removes it. Scores are
Redis's clock, so that processes whose clocks differ agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.ids import RunId, SessionId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.ids import TenantId, UserId
    from midstream.store.keys import HintName, Keys
    from midstream.store.redis.client import RedisClient
    from midstream.store.scripts.script import Command

LATE_HINT_MS: Final = 1_000
"""No hint is noted further ahead of its lease's end than this."""

WATCHED: Final = 0.6
"""The last part of a lease, in which it is watched. A living producer has renewed it before, so
these are few. What is watched already when Redis's clock jumps ends on time all the same."""

STALE_AFTER_MS: Final = 60_000
"""A user's hint is written before the session: one younger than this may be of a session
that is just being opened, and is not stale for want of one."""


class Hints:
    """Commands that write hints, and calls that read them."""

    def __init__(self, client: RedisClient, keys: Keys, ttl_s: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl_s = ttl_s

    def lease(self, runs: Iterable[tuple[SessionId, RunId]], lease_ms: int) -> Command:
        """Note when these leases end."""
        members = [f"{session}|{run}" for session, run in runs]
        return self._note(self._keys.leases, lease_ms, members)

    def wait(self, session_id: SessionId, run_id: RunId, wait_ms: int) -> Command:
        """Note when a run's wait ends."""
        return self._note(self._keys.waits, wait_ms, [f"{session_id}|{run_id}"])

    def queue(self, session_id: SessionId, after_ms: int) -> Command:
        """Note when to look whether a session's queue goes on."""
        return self._note(self._keys.queues, after_ms, [session_id])

    def forget_queue(self, session_id: SessionId) -> Command:
        """Remove a queue's hint."""
        return ("ZREM", *self._keys.queues, session_id)

    def forget_wait(self, session_id: SessionId, run_id: RunId) -> Command:
        """Remove a wait's hint."""
        return ("ZREM", *self._keys.waits, f"{session_id}|{run_id}")

    def forget_lease(self, runs: Iterable[tuple[SessionId, RunId]]) -> Command:
        """Remove leases' hints."""
        return ("ZREM", *self._keys.leases, *(f"{session}|{run}" for session, run in runs))

    def activity(self, user: UserId, tenant: TenantId, session_id: SessionId) -> Command:
        """Note that a user's session was active now."""
        return self._note(self._keys.user(user, tenant), 0, [session_id])

    def trim(self, session_id: SessionId, after_ms: int) -> Command:
        """Note when a session's log is to be trimmed."""
        return self._note(self._keys.trim, after_ms, [session_id])

    def forget_session(
        self, user: UserId, tenant: TenantId, session_ids: Iterable[SessionId]
    ) -> Command:
        """Remove sessions from a user's list."""
        return ("ZREM", *self._keys.user(user, tenant), *session_ids)

    def forget_trim(self, session_ids: Iterable[SessionId]) -> Command:
        """Remove trims' hints."""
        return ("ZREM", *self._keys.trim, *session_ids)

    async def due_leases(
        self, limit: int, longest_ms: int | None
    ) -> tuple[int, list[tuple[SessionId, RunId]]]:
        """Return the time, and runs whose lease was not renewed for long, the longest first.

        Args:
            longest_ms: how long leases are: one that ends later was given before the clock went
                back. None: they are of any length, and are looked at once they seem to have ended.
        """
        ahead_ms: str | int = ""
        early_ms = 0
        if longest_ms is not None:
            ahead_ms, early_ms = longest_ms + LATE_HINT_MS, int(longest_ms * WATCHED)
        script = self._client.scripts.due
        now_ms, due = await self._client.run(
            script.call(self._keys.leases, limit=limit, ahead_ms=ahead_ms, early_ms=early_ms)
        )
        return now_ms, _runs(due)

    async def due_waits(self, limit: int) -> list[tuple[SessionId, RunId]]:
        """Return runs whose wait seems to have ended, the longest ago first."""
        script = self._client.scripts.due
        _, due = await self._client.run(
            script.call(self._keys.waits, limit=limit, ahead_ms="", early_ms=0)
        )
        return _runs(due)

    async def due_trims(self, limit: int) -> list[SessionId]:
        """Return sessions whose reconnect window has passed."""
        script = self._client.scripts.due
        _, due = await self._client.run(
            script.call(self._keys.trim, limit=limit, ahead_ms="", early_ms=0)
        )
        return [SessionId(member.decode()) for member in due]

    async def due_queues(self, limit: int) -> list[SessionId]:
        """Return sessions whose queue is to be looked at."""
        script = self._client.scripts.due
        _, due = await self._client.run(
            script.call(self._keys.queues, limit=limit, ahead_ms="", early_ms=0)
        )
        return [SessionId(member.decode()) for member in due]

    async def sessions(
        self, user: UserId, tenant: TenantId, before_ms: int | None, start: int, limit: int
    ) -> list[tuple[SessionId, int]]:
        """Return a page of a user's sessions with their last activity, newest first."""
        newest = "+inf" if before_ms is None else f"({before_ms}"
        pairs = await self._client.run(
            ("ZREVRANGEBYSCORE", *self._keys.user(user, tenant), newest, "-inf", "WITHSCORES",
             "LIMIT", start, limit)
        )  # fmt: skip
        return [
            (SessionId(member.decode()), int(score))
            for member, score in zip(pairs[::2], pairs[1::2], strict=True)
        ]

    def _note(self, name: HintName, delay_ms: int, members: Iterable[str]) -> Command:
        script = self._client.scripts.hint
        return script.call(name, *members, delay_ms=delay_ms, ttl_s=self._ttl_s)


def _runs(members: Iterable[bytes]) -> list[tuple[SessionId, RunId]]:
    pairs = (member.decode().partition("|") for member in members)
    return [(SessionId(session), RunId(run)) for session, _, run in pairs]
