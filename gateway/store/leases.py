"""Which leases have ended, judged by our own clock.

A lease is a time of Redis's clock, which may be set forward or back. Set forward, it seems to end
all leases, though their producers live; set back, to prolong that of a dead one. What holds is how
long a lease has stayed as it is while time passed here: a living producer changes it every few
seconds. Redis's clock tells when it was given, as far as that clock was seen to run evenly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from midstream.store.clock import TOLERANCE_S

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.store.clock import RedisClock

MAX_WATCHED: Final = 10_000
"""Leases that are watched at once. What more there are is seen again with their hints."""


class Lease(NamedTuple):
    """A run's lease as Redis has it: when it ends, by its clock, and for how long it was given.

    `mark`: of this lease alone.
    """

    mark: bytes
    ends_ms: int
    term_ms: int


class Sight(NamedTuple):
    """A lease, and since when it is known to be as it is, by `time.monotonic()`."""

    lease: Lease
    since: float

    @property
    def ends_at(self) -> float:
        """When it has ended, by `time.monotonic()`, unless it is renewed before."""
        return self.since + self.lease.term_ms / 1000


class LeaseWatch:
    """The leases that may have ended, or are about to.

    Args:
        clock: what is known of Redis's.
    """

    def __init__(self, clock: RedisClock) -> None:
        self._clock = clock
        self._seen: dict[tuple[SessionId, RunId], Sight] = {}

    def see(self, run: tuple[SessionId, RunId], lease: Lease, redis_ms: int, at: float) -> Sight:
        """Take a lease as it is, seen at `at` when Redis's clock stood at `redis_ms`."""
        known = self._seen.get(run)
        since = self._unrenewed_since(lease, redis_ms, at)
        if known is not None and known.lease == lease:
            since = min(since, known.since)
        sight = Sight(lease, since)
        if known is not None or len(self._seen) < MAX_WATCHED:
            self._seen[run] = sight
        return sight

    def sight(self, run: tuple[SessionId, RunId]) -> Sight | None:
        """Return a lease as it was last seen."""
        return self._seen.get(run)

    def forget(self, run: tuple[SessionId, RunId]) -> None:
        """Watch it no more: it has ended, is ours, or is renewed."""
        self._seen.pop(run, None)

    def ended(self, now: float, limit: int) -> list[tuple[SessionId, RunId]]:
        """Return the runs whose lease has ended, as far as was seen; the longest ago first."""
        ended = [(s.ends_at, run) for run, s in self._seen.items() if s.ends_at <= now]
        return [run for _, run in sorted(ended)[:limit]]

    def _unrenewed_since(self, lease: Lease, redis_ms: int, at: float) -> float:
        even_since = self._clock.even_since
        if even_since is None:
            return at
        age_s = (redis_ms - lease.ends_ms + lease.term_ms) / 1000
        if age_s < -TOLERANCE_S:
            return even_since  # given before the clock went back
        return min(max(at - age_s, even_since), at)
