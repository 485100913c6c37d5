"""Wake-ups for tasks that wait for a change."""

from __future__ import annotations

import asyncio


class Pulse:
    """Wakes all waiting tasks, and is at once ready for the next."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def send(self) -> None:
        """Wake the tasks that wait now."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():  # cancelled since
                    waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Return a future of the next pulse; await it at once, in one task."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter
