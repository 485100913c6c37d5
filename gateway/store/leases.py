"""Finds the leases that have ended, by our own clock.

A lease is a time of Redis's clock, which may be set forward or back. A jump forward would seem to
end the leases of living producers, a jump back would prolong those of dead ones. So we measure by
our own clock how long a lease has not changed: a living producer renews it every few seconds.
Redis's clock tells when a lease was given, as far as that clock was seen to run evenly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from midstream.store.clock import TOLERANCE_S

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.store.clock import RedisClock

MAX_WATCHED: Final = 10_000
"""Leases that are watched at once. Their hints bring further ones up again later."""


class Lease(NamedTuple):
    """A run's lease in Redis: its end, by Redis's clock, and its length.

    `mark` identifies the lease: each renewal changes it.
    """

    mark: bytes
    ends_ms: int
    term_ms: int


class Sight(NamedTuple):
    """A lease, and the time since when it is known to be unchanged, by `time.monotonic()`."""

    lease: Lease
    since: float

    @property
    def ends_at(self) -> float:
        """The time when it ends unless it is renewed, by `time.monotonic()`."""
        return self.since + self.lease.term_ms / 1000


class LeaseWatch:
    """The leases that may have ended, or are about to."""

    def __init__(self) -> None:
        self._seen: dict[tuple[SessionId, RunId], Sight] = {}

    def see(
        self,
        run: tuple[SessionId, RunId],
        lease: Lease,
        redis_ms: int,
        at: float,
        clock: RedisClock,
    ) -> Sight:
        """Note a lease that was seen at `at`, when Redis's clock stood at `redis_ms`.

        Args:
            clock: our knowledge of that clock; in a cluster each node has its own.
        """
        known = self._seen.get(run)
        since = _unrenewed_since(lease, redis_ms, at, clock.even_since)
        if known is not None and known.lease == lease:
            since = min(since, known.since)
        sight = Sight(lease, since)
        if known is not None or len(self._seen) < MAX_WATCHED:
            self._seen[run] = sight
        return sight

    def sight(self, run: tuple[SessionId, RunId]) -> Sight | None:
        """Return the last sight of a run's lease."""
        return self._seen.get(run)

    def forget(self, run: tuple[SessionId, RunId]) -> None:
        """Stop watching a lease: the run has ended, is ours, or was renewed."""
        self._seen.pop(run, None)

    def ended(self, now: float, limit: int) -> list[tuple[SessionId, RunId]]:
        """Return at most `limit` watched runs whose lease has ended, earliest end first."""
        ended = [(s.ends_at, run) for run, s in self._seen.items() if s.ends_at <= now]
        return [run for _, run in sorted(ended)[:limit]]


def _unrenewed_since(lease: Lease, redis_ms: int, at: float, even_since: float | None) -> float:
    if even_since is None:
        return at
    age_s = (redis_ms - lease.ends_ms + lease.term_ms) / 1000
    if age_s < -TOLERANCE_S:
        return even_since  # given before the clock went back
    return min(max(at - age_s, even_since), at)
