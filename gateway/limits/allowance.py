"""Limits that one process applies by itself while Redis is away."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SCOPES: Final = 10_000
"""Scopes in memory; beyond them the least recently used one is forgotten."""


class Pace:
    """Limits the rate of sends, by the generic cell rate algorithm.

    Each send is due one interval after the one before; a burst may be ahead of that.

    Args:
        per_minute, burst: both at least 1; `per_minute` may be a process's share of a limit.
    """

    def __init__(self, per_minute: float, burst: int) -> None:
        self._interval_s = 60 / per_minute
        self._tolerance_s = burst * self._interval_s
        self._due = float("-inf")

    def take(self, now: float) -> float:
        """Take a send; return 0, or the seconds until one can be taken.

        Args:
            now: in seconds; must not go back between calls.
        """
        due = max(self._due, now) + self._interval_s
        wait_s = due - self._tolerance_s - now
        if wait_s > 1e-9:
            return wait_s
        self._due = due
        return 0.0


class Allowance:
    """The rates of one process, by scope."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def take_send(self, scope: str, per_minute: int, burst: int, gateways: int) -> float:
        """Take a send of this process's share; return 0, or the seconds to wait for one."""
        pace = self._paces.get(scope)
        if pace is None:
            pace = self._paces[scope] = Pace(per_minute / gateways, share(burst, gateways))
        self._paces.move_to_end(scope)
        if len(self._paces) > MAX_SCOPES:
            self._paces.popitem(last=False)
        return pace.take(self._clock())


def share(limit: int, gateways: int) -> int:
    """Return one gateway's share of a limit."""
    return -(-limit // gateways)
