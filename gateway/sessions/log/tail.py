"""The end of a log, where those wait that have had all of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from midstream.aio.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Tail(Pulse, Generic[T]):
    """A pulse that can hand on what has arrived: a task that takes it is not woken for it.

    `send` wakes all waiting tasks, as any pulse does; `hand` only those that do not take the item.
    """

    __slots__ = ("_takers",)

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[Callable[[T], bool], asyncio.Future[None]] = {}

    async def wait_taking(self, take: Callable[[T], bool]) -> None:
        """As `wait`, but hand each item to `take` until it returns False, or the wait ends.

        Args:
            take: must not raise or send a pulse. It is called outside the waiting task.
        """
        waiter = self._takers[take] = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._takers.pop(take, None)

    def hand(self, item: T) -> None:
        """Hand an item to the takers; wake those that refuse it, and all that take nothing."""
        super().send()
        # Of a taker nothing else is touched: for a thousand of them, memory is what costs.
        for take in [take for take in self._takers if not take(item)]:
            _wake(self._takers.pop(take))

    def send(self) -> None:
        """Wake the tasks that wait now."""
        super().send()
        takers, self._takers = self._takers, {}
        for waiter in takers.values():
            _wake(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # cancelled since
        waiter.set_result(None)
