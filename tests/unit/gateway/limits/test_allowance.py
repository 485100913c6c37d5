"""The pace of sends, against a plain model of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midstream.limits.allowance import Allowance, Pace, share

STEPS = st.lists(st.integers(0, 90), max_size=60)
"""Seconds between sends."""


@given(per_minute=st.integers(1, 240), burst=st.integers(1, 60), steps=STEPS)
def test_pace_is_that_of_a_bucket_that_fills_steadily(
    per_minute: int, burst: int, steps: list[int]
) -> None:
    """A bucket of `burst` sends, one more each interval; a refusal says when there is one."""
    pace, now, level = Pace(per_minute, burst), 0.0, float(burst)
    for step in steps:
        now += step
        level = min(float(burst), level + step * per_minute / 60)
        wait_s = pace.take(now)
        if level > 1 - 1e-6:
            assert wait_s == 0
            level -= 1
        else:
            assert abs(wait_s - (1 - level) * 60 / per_minute) < 1e-6


@given(per_minute=st.integers(1, 240), burst=st.integers(1, 60), steps=STEPS)
def test_no_span_of_time_has_more_than_its_pace_and_a_burst(
    per_minute: int, burst: int, steps: list[int]
) -> None:
    """Whenever it is looked at."""
    pace, now = Pace(per_minute, burst), 0.0
    accepted: list[float] = []
    for step in steps:
        now += step / 30
        if pace.take(now) == 0:
            accepted.append(now)
    for first, start in enumerate(accepted):
        for last in range(first, len(accepted)):
            span_s = accepted[last] - start
            assert last - first + 1 <= burst + span_s * per_minute / 60 + 1e-6


def test_gateways_share_a_pace_and_round_up() -> None:
    """Three of four sends a minute: two each at once, then one in 45 s; scopes apart."""
    now = 0.0
    allowance = Allowance(clock=lambda: now)

    def take(scope: str) -> float:
        return allowance.take_send(scope, 4, share(4, 1), 3)

    assert [take("a"), take("a"), take("a")] == [0, 0, 45]
    assert take("b") == 0
    now = 45.0
    assert [take("a"), take("a")] == [0, 45]
