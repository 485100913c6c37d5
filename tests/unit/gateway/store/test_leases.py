"""When a lease has ended, while time passes here and Redis's clock does what it likes.

A play has a Redis, whose clock and leases it sets, and a gateway that looks at them every two
seconds as its store does: at the leases that seem to be near their end, and then at those that have
ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import RunId, SessionId
from midstream.store.clock import TOLERANCE_S, RedisClock
from midstream.store.leases import MAX_WATCHED, Lease, LeaseWatch
from midstream.store.redis.hints import LATE_HINT_MS, WATCHED

if TYPE_CHECKING:
    import pytest

RUN: Final = SessionId("s"), RunId("r")
LEASE_S: Final = 8.0
RENEWED_S: Final = 2.5
LOOK_S: Final = 2.0
STEP_S: Final = 0.25
BEGUN: Final = 1_000_000.0
"""Redis's clock when ours says 0: seconds."""

JUMPS: Final = st.floats(2 * TOLERANCE_S, 4_000) | st.floats(-4_000, -2 * TOLERANCE_S)
"""A smaller jump may be a clock that runs fast."""


class Play:
    """One run, from its last renewal at 0 on (unless it lives), and who watches it."""

    def __init__(
        self, *, watched_since: float = -20.0, jumps: dict[float, float] | None = None
    ) -> None:
        self.now = watched_since
        self._jumps = dict(jumps or {})
        self._ahead = BEGUN
        self._renewals = 0
        self._clock = RedisClock()
        self._watch = LeaseWatch()
        self._lease = self._given()

    def _redis_ms(self) -> int:
        return int((self.now + self._ahead) * 1000)

    def _given(self) -> Lease:
        self._renewals += 1
        ends_ms = self._redis_ms() + int(LEASE_S * 1000)
        return Lease(b"%d" % self._renewals, ends_ms, int(LEASE_S * 1000))

    def _look(self) -> bool:
        redis_ms = self._redis_ms()
        self._clock.observe(redis_ms, self.now, self.now)
        left_ms = self._lease.ends_ms - redis_ms
        if left_ms <= LEASE_S * 1000 * WATCHED or left_ms > LEASE_S * 1000 + LATE_HINT_MS:
            self._watch.see(RUN, self._lease, redis_ms, self.now, self._clock)
        if not self._watch.ended(self.now, 1):
            return False
        sight = self._watch.sight(RUN)
        assert sight is not None
        if sight.lease == self._lease:
            return True  # take_over.lua takes it
        self._watch.forget(RUN)
        return False

    def until(self, limit_s: float, *, lives: bool = False) -> float | None:
        """Return when the run is taken over; None if it is not by `limit_s`."""
        renewed = looked = self.now
        while self.now < limit_s:
            for at in [at for at in self._jumps if at <= self.now]:
                self._ahead += self._jumps.pop(at)
            is_due = (lives or self.now <= 0) and self.now >= renewed + RENEWED_S
            if is_due or self.now == 0:
                self._lease, renewed = self._given(), self.now
            if self.now >= looked + LOOK_S:
                looked = self.now
                if self._look():
                    return self.now
            self.now += STEP_S
        return None


ENDS: Final[dict[str, tuple[dict[float, float], float]]] = {
    "nothing is set": ({}, 8),
    "set forward before it is watched": ({1: 3600}, 10),
    "set back before it is watched": ({1: -3600}, 10),
    "set back by a lease before it is watched": ({1: -8}, 10),
    "set forward once it is watched": ({5.5: 3600}, 8),
    "set back once it is watched": ({5.5: -3600}, 8),
    "set back by a lease once it is watched": ({5.5: -8}, 8),
    "set back by half a lease once it is watched": ({5.5: -4}, 8),
    "set to and fro": ({5.5: -8, 6.5: 8, 7.5: -30}, 8),
    "set back after it has ended": ({8.5: -8}, 8),
}
"""When Redis's clock is set by how much, and the soonest at which a run that was renewed last at 0
is taken over: seconds."""


def test_run_that_is_not_renewed_is_taken_over_whatever_redis_clock_does(
    subtests: pytest.Subtests,
) -> None:
    """A jump costs what of a lease nobody was watching yet; never a whole one more."""
    for what, (jumps, soonest) in ENDS.items():
        with subtests.test(what):
            taken_at = Play(jumps=jumps).until(60)

            assert taken_at is not None
            assert soonest - STEP_S <= taken_at <= soonest + LOOK_S


@given(
    jumps=st.dictionaries(
        st.integers(-8, 30).map(lambda i: i * LOOK_S + STEP_S),
        JUMPS | st.sampled_from([-8.0, -7.5, -4.0, 4.0, 8.0]),
        max_size=6,
    )
)
def test_living_run_is_never_taken_over(jumps: dict[float, float]) -> None:
    """Whatever jumps there are, one between two looks. Two that undo each other there are not seen,
    and a lease that was given between them is judged by a clock that it was not given by."""
    assert Play(jumps=jumps).until(60, lives=True) is None


@given(
    jumps=st.dictionaries(st.integers(0, 5).map(lambda i: i * LOOK_S + STEP_S), JUMPS, max_size=3)
)
def test_dead_run_is_taken_over_within_a_lease_of_the_last_jump(jumps: dict[float, float]) -> None:
    """And a look; also when jumps follow one another."""
    last = max(jumps, default=0.0)
    taken_at = Play(jumps=jumps).until(60)

    assert taken_at is not None
    assert LEASE_S - STEP_S <= taken_at <= max(last, 0) + LEASE_S + 2 * LOOK_S


def test_gateway_that_has_just_started_waits_for_a_lease() -> None:
    """It knows nothing of the clock before: the run was renewed 6 s ago, or just now by another."""
    watch_begins = 6.0
    play = Play()
    play.until(watch_begins)
    play._clock = RedisClock()
    play._watch = LeaseWatch()

    taken_at = play.until(60)

    assert taken_at is not None
    assert watch_begins + LEASE_S <= taken_at <= watch_begins + LEASE_S + 2 * LOOK_S


def test_watch_is_bounded_and_tells_the_longest_ended_first() -> None:
    """A lease that was dropped is seen again."""
    clock = RedisClock()
    clock.observe(0, 0.0, 0.0)
    watch = LeaseWatch()
    for i in range(MAX_WATCHED + 1):
        watch.see((SessionId("s"), RunId(f"{i}")), Lease(b"", -i, 0), 0, 100.0, clock)

    assert watch.ended(100.0, 2) == [("s", f"{MAX_WATCHED - 1}"), ("s", f"{MAX_WATCHED - 2}")]
    assert len(watch.ended(100.0, 2 * MAX_WATCHED)) == MAX_WATCHED
