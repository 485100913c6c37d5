"""What wakes those who wait for something to change."""

from __future__ import annotations

import asyncio


class Pulse:
    """Wakes all who wait, and is at once ready for the next who do."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def send(self) -> None:
        """Wake everybody who waits now."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():  # cancelled since
                    waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Return what is done with the next pulse; await it at once, and alone."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter
