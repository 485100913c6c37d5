"""The slope of a figure over time, with what is known of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_T_95: tuple[float, ...] = (
    *(12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23),
    *(2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09),
)
"""Student's t for 95 %, by degrees of freedom from 1 on; 2 beyond."""


class Slope(NamedTuple):
    """A straight line's rise for each step of x, and its 95 % interval.

    The interval takes the points as independent. Those of a process are not: memory that was
    taken stays taken. So it says what would be surprising, not what is certain.
    """

    rise: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool:
        """Whether no rise and no fall would surprise nobody."""
        return self.low <= 0 <= self.high


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Return the slope of the straight line with the least squares through three points or more.

    Raises:
        ValueError: too few points, or all of one x.
    """
    count = len(points)
    if count < 3:
        raise ValueError("unable to tell a slope of fewer than three points")
    middle_x = math.fsum(x for x, _ in points) / count
    middle_y = math.fsum(y for _, y in points) / count
    spread = math.fsum((x - middle_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("unable to tell a slope without a spread")
    rise = math.fsum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    missed = math.fsum((y - middle_y - rise * (x - middle_x)) ** 2 for x, y in points)
    freedom = count - 2
    error = math.sqrt(missed / freedom / spread)
    width = error * (_T_95[freedom - 1] if freedom <= len(_T_95) else 2.0)
    return Slope(rise, rise - width, rise + width)
