"""The slope that a soak ends with."""

from __future__ import annotations

import pytest

from tests.bench.slope import slope_of
from tests.bench.soak import Sample, slopes


def test_straight_line_has_its_slope_and_no_doubt() -> None:
    """Points on a line leave nothing open."""
    slope = slope_of([(x, 3 + 2 * x) for x in range(10)])

    assert slope == pytest.approx((2, 2, 2))
    assert not slope.is_flat


def test_points_that_go_to_and_fro_are_flat() -> None:
    """The interval has 0 in it, when the rise is small beside the noise."""
    slope = slope_of([(x, 100 + (-1) ** x + 0.001 * x) for x in range(40)])

    assert slope.is_flat
    assert slope.low < 0 < slope.high


def test_interval_is_that_of_the_books() -> None:
    """Five points; by hand: rise 0.6, error √(3.2 / 3 / 10), t(3) = 3.18."""
    slope = slope_of([(1, 2), (2, 1), (3, 4), (4, 3), (5, 4)])

    assert slope.rise == pytest.approx(0.6)
    assert (slope.high - slope.low) / 2 == pytest.approx(3.18 * (3.2 / 3 / 10) ** 0.5)


@pytest.mark.parametrize("points", [[(0, 1), (1, 2)], [(5, 1), (5, 2), (5, 3)]])
def test_slope_of_too_little_is_refused(points: list[tuple[float, float]]) -> None:
    """Two points have no doubt, and one moment has no slope."""
    with pytest.raises(ValueError, match="unable to tell a slope"):
        slope_of(points)


def test_soak_leaves_the_warm_up_out_and_says_what_rises() -> None:
    """The first fifth is steep for a good reason; what rises to its level is flat later."""
    samples = [
        Sample(
            minute=float(minute),
            resident=200.0 + min(minute, 20),
            allocated=50 + 0.25 * minute,
            unused=0,
            blocks=1000 - minute,
            redis=1 + minute % 2,
            tasks=5 if minute < 10 else 20,
            files=30,
            pause=0,
        )
        for minute in range(50)
    ]
    said = slopes(samples)

    assert [[half.rpartition(", ")[2] for half in line.split("; ")] for line in said] == [
        ["rises", "flat"],
        ["rises", "rises"],
        ["falls", "falls"],
        ["flat", "flat"],
        ["flat", "flat"],
        ["flat", "flat"],
    ]
    assert said[1] == (
        "C heap in use, MB a minute: +0.250 (+0.250 to +0.250), rises; "
        "second half: +0.250 (+0.250 to +0.250), rises"
    )
