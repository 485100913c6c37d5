"""The indexes outside a session's slot: which leases, trims and sessions to look at.

They are hints. The truth is in the session; who meets a stale hint removes it. Scores are
Redis's clock, so that processes whose clocks differ agree.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from midstream.ids import RunId, SessionId

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from midstream.ids import TenantId, UserId
    from midstream.store.cluster.commands import Commands
    from midstream.store.keys import Hint, HintName, Keys
    from midstream.store.scripts.script import Command

LATE_HINT_MS: Final = 1_000
"""No hint is noted further ahead of its lease's end than this."""

WATCHED: Final = 0.6
"""The last part of a lease, in which it is watched. A living producer has renewed it before, so
these are few. What is watched already when Redis's clock jumps ends on time all the same."""

STALE_AFTER_MS: Final = 60_000
"""A user's hint is written before the session: one younger than this may be of a session
that is just being opened, and is not stale for want of one."""


class Due(NamedTuple):
    """The members of a hint that are due under one of its names.

    Attributes:
        place: the server that has it.
        now_ms: that server's clock; read after `sent_at` of ours.
    """

    place: Hashable
    now_ms: int
    sent_at: float
    members: Sequence[bytes]

    @property
    def runs(self) -> list[tuple[SessionId, RunId]]:
        """The members of a hint of runs."""
        return _runs(self.members)


class Hints:
    """Commands that write hints, and calls that read them."""

    def __init__(self, client: Commands, keys: Keys, ttl_s: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl_s = ttl_s

    def lease(self, runs: Iterable[tuple[SessionId, RunId]], lease_ms: int) -> list[Command]:
        """Note when these leases end."""
        grouped = _grouped(self._keys.leases, runs)
        return [self._note(name, lease_ms, members) for name, members in grouped.items()]

    def wait(self, session_id: SessionId, run_id: RunId, wait_ms: int) -> Command:
        """Note when a run's wait ends."""
        name = self._keys.waits.of(session_id)
        return self._note(name, wait_ms, [f"{session_id}|{run_id}"])

    def queue(self, session_id: SessionId, after_ms: int) -> Command:
        """Note when to look whether a session's queue goes on."""
        return self._note(self._keys.queues.of(session_id), after_ms, [session_id])

    def steers(self, session_id: SessionId, after_ms: int) -> list[Command]:
        """Note when to look whether a session's steers have come to its queue.

        Under two names: a gateway that knows queues, but no steers, removes a queue's hint when
        it sees an empty queue.
        """
        steers = self._note(self._keys.steers.of(session_id), after_ms, [session_id])
        return [self.queue(session_id, after_ms), steers]

    def forget_queue(self, session_id: SessionId) -> list[Command]:
        """Remove a queue's hint, and that of its steers."""
        names = (self._keys.queues.of(session_id), self._keys.steers.of(session_id))
        return [("ZREM", *name, session_id) for name in names]

    def forget_wait(self, session_id: SessionId, run_id: RunId) -> Command:
        """Remove a wait's hint."""
        return ("ZREM", *self._keys.waits.of(session_id), f"{session_id}|{run_id}")

    def forget_lease(self, runs: Iterable[tuple[SessionId, RunId]]) -> list[Command]:
        """Remove leases' hints."""
        grouped = _grouped(self._keys.leases, runs)
        return [("ZREM", *name, *members) for name, members in grouped.items()]

    def activity(self, user: UserId, tenant: TenantId, session_id: SessionId) -> Command:
        """Note that a user's session was active now."""
        return self._note(self._keys.user(user, tenant), 0, [session_id])

    def trim(self, session_id: SessionId, after_ms: int) -> Command:
        """Note when a session's log is to be trimmed."""
        return self._note(self._keys.trim.of(session_id), after_ms, [session_id])

    def forget_session(
        self, user: UserId, tenant: TenantId, session_ids: Iterable[SessionId]
    ) -> Command:
        """Remove sessions from a user's list."""
        return ("ZREM", *self._keys.user(user, tenant), *session_ids)

    def forget_trim(self, session_id: SessionId) -> Command:
        """Remove a trim's hint."""
        return ("ZREM", *self._keys.trim.of(session_id), session_id)

    async def due_leases(self, limit: int, longest_ms: int | None) -> list[Due]:
        """Return runs whose lease was not renewed for long, the longest of each name first.

        Args:
            longest_ms: how long leases are: one that ends later was given before the clock went
                back. None: they are of any length, and are looked at once they seem to have ended.
        """
        ahead_ms: str | int = ""
        early_ms = 0
        if longest_ms is not None:
            ahead_ms, early_ms = longest_ms + LATE_HINT_MS, int(longest_ms * WATCHED)
        return await self._due(self._keys.leases, limit, ahead_ms=ahead_ms, early_ms=early_ms)

    async def due_waits(self, limit: int) -> list[tuple[SessionId, RunId]]:
        """Return runs whose wait seems to have ended."""
        return _runs(_mixed(await self._due(self._keys.waits, limit), limit))

    async def due_trims(self, limit: int) -> list[SessionId]:
        """Return sessions whose reconnect window has passed."""
        return _sessions(_mixed(await self._due(self._keys.trim, limit), limit))

    async def due_queues(self, limit: int) -> list[SessionId]:
        """Return sessions whose queue is to be looked at, each once."""
        dues = await self._due(self._keys.queues, limit, beside=self._keys.steers)
        return _sessions(dict.fromkeys(_mixed(dues, limit)))

    async def _due(
        self,
        hint: Hint,
        limit: int,
        *,
        beside: Hint | None = None,
        ahead_ms: str | int = "",
        early_ms: int = 0,
    ) -> list[Due]:
        """Read a hint under each of its names; what is on a server that is away is left out.

        Args:
            beside: another hint to read in the same round trip.

        Raises:
            StoreError: all of it is away.
        """
        script = self._client.scripts.due
        known = hint.names if beside is None else (*hint.names, *beside.names)
        names = [name for name in known if not self._client.is_away(name.hint)]
        sent_at = time.monotonic()
        replies = await self._client.run_each(
            [
                script.call(name, limit=limit, ahead_ms=ahead_ms, early_ms=early_ms)
                for name in names or known
            ]
        )
        found = [
            Due(self._client.place(name.hint), reply[0], sent_at, reply[1])
            for name, reply in zip(names or known, replies, strict=True)
            if not isinstance(reply, Exception)
        ]
        if not found:
            raise next(reply for reply in replies if isinstance(reply, Exception))
        return found

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


def _grouped(hint: Hint, runs: Iterable[tuple[SessionId, RunId]]) -> dict[HintName, list[str]]:
    """Return the members of a hint by the name that they are under."""
    grouped: dict[HintName, list[str]] = {}
    for session, run in runs:
        grouped.setdefault(hint.of(session), []).append(f"{session}|{run}")
    return grouped


def _mixed(dues: Iterable[Due], limit: int) -> list[bytes]:
    """Return at most so many members, of each name as many as of the others."""
    rows = itertools.zip_longest(*(due.members for due in dues))
    members = (member for row in rows for member in row if member is not None)
    return list(itertools.islice(members, limit))


def _sessions(members: Iterable[bytes]) -> list[SessionId]:
    return [SessionId(member.decode()) for member in members]


def _runs(members: Iterable[bytes]) -> list[tuple[SessionId, RunId]]:
    pairs = (member.decode().partition("|") for member in members)
    return [(SessionId(session), RunId(run)) for session, _, run in pairs]
