"""The end of a log, where those wait that have had all of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from midstream.aio.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
P = TypeVar("P")


class Tail(Pulse, Generic[T, P]):
    """A pulse that can hand on what has arrived: a task that has it taken is not woken for it.

    `send` wakes all waiting tasks, as any pulse does; `hand` only those whose taker refuses.

    All who wait here with a taker stand at the same place, so it is kept once, and not for each: to
    a thousand takers an item costs a call, and a look at little else.

    Attributes:
        handed_at: `time.monotonic()` of the newest item.
    """

    __slots__ = ("_at", "_takers", "handed_at")

    def __init__(self) -> None:
        super().__init__()
        self._at: P | None = None
        self._takers: dict[Callable[[T], bool], asyncio.Future[P | None]] = {}
        self.handed_at = 0.0

    async def wait_taking(self, take: Callable[[T], bool]) -> P | None:
        """Wait for a pulse, or for an item that `take` refuses by returning False.

        Args:
            take: must not raise or send a pulse. It is called outside the waiting task.

        Returns:
            Where the log stands behind what was taken; None if nothing was.
        """
        before = self._at
        waiter = self._takers[take] = asyncio.get_running_loop().create_future()
        try:
            at = await waiter
        finally:
            self._takers.pop(take, None)
        return None if at is before else at

    def hand(self, item: T, at: P) -> None:
        """Hand an item to the takers; wake those that refuse it, and all that take nothing.

        Args:
            at: where the log stands behind it.
        """
        super().send()
        for take in [take for take in self._takers if not take(item)]:
            _wake(self._takers.pop(take), self._at)
        self._at = at
        self.handed_at = time.monotonic()

    def send(self) -> None:
        """Wake the tasks that wait now."""
        super().send()
        takers, self._takers = self._takers, {}
        for waiter in takers.values():
            _wake(waiter, self._at)


def _wake(waiter: asyncio.Future[P], at: P) -> None:
    if not waiter.done():  # cancelled since
        waiter.set_result(at)
