"""What one process allows by itself while Redis cannot be asked."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SCOPES: Final = 10_000
"""Scopes remembered; beyond them the one that has been quiet for longest begins anew."""


class Pace:
    """Sends at a pace: the generic cell rate algorithm.

    Each send is due one interval after the one before; a burst may be ahead of that.

    Args:
        per_minute, burst: both at least 1; `per_minute` may be a share of a whole one.
    """

    def __init__(self, per_minute: float, burst: int) -> None:
        self._interval_s = 60 / per_minute
        self._tolerance_s = burst * self._interval_s
        self._due = float("-inf")

    def take(self, now: float) -> float:
        """Take a send; return 0, or how many seconds until one can be taken.

        Args:
            now: in seconds; never less than the call before said.
        """
        due = max(self._due, now) + self._interval_s
        wait_s = due - self._tolerance_s - now
        if wait_s > 1e-9:
            return wait_s
        self._due = due
        return 0.0


class Allowance:
    """One process's paces, by scope."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def take_send(self, scope: str, per_minute: int, burst: int, gateways: int) -> float:
        """Take a send of this process's share; return 0, or how many seconds to wait for it."""
        pace = self._paces.get(scope)
        if pace is None:
            pace = self._paces[scope] = Pace(per_minute / gateways, share(burst, gateways))
        self._paces.move_to_end(scope)
        if len(self._paces) > MAX_SCOPES:
            self._paces.popitem(last=False)
        return pace.take(self._clock())


def share(limit: int, gateways: int) -> int:
    """Return what one of so many gateways may allow of a limit."""
    return -(-limit // gateways)
