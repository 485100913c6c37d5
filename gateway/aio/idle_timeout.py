"""A shared idle timeout; entering it costs about one assignment.

`asyncio.timeout` makes and cancels a timer every time: 5 µs, more than all else that reading a
chunk costs here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class IdleTimeout:
    """Ends waits that take longer than `limit_s`, in any number of tasks.

    One timer checks all waiters, and is set again for the oldest wait. Without waiters there is
    no timer.
    """

    __slots__ = ("_limit_s", "_timer", "_waiters")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[IdleWaiter] = set()

    def waiter(self) -> IdleWaiter:
        """Return a block for one task's waits; close it after the last one."""
        loop = asyncio.get_running_loop()
        waiter = IdleWaiter(self, loop)
        self._waiters.add(waiter)
        if self._timer is None:
            self._timer = loop.call_later(self._limit_s, self._look, loop)
        return waiter

    def leave(self, waiter: IdleWaiter) -> None:
        """Forget a waiter."""
        self._waiters.discard(waiter)
        if not self._waiters and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End waits over the limit. A wait that begins later has the whole limit."""
        now = time.monotonic()
        left_s = self._limit_s
        for waiter in self._waiters:
            if (since := waiter.since) is None:
                continue
            its_s = since + self._limit_s - now
            if its_s > 0:
                left_s = min(left_s, its_s)
            else:
                waiter.expire()
        self._timer = loop.call_later(left_s, self._look, loop)


class IdleWaiter:
    """`with waiter: await ...`, any number of times, one after another, in whatever task.

    Raises (from the block):
        TimeoutError: the wait took too long, and was ended.
    """

    __slots__ = ("_cancelling", "_expired", "_limit", "_loop", "_task", "since")

    def __init__(self, limit: IdleTimeout, loop: asyncio.AbstractEventLoop) -> None:
        self.since: float | None = None
        """`time.monotonic()` since when it waits; None while it does not."""
        self._limit = limit
        self._loop = loop
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    def __enter__(self) -> None:
        # Without the loop this would look for it, at twice the price.
        task = self._task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancelling = task.cancelling()
        self.since = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.since = None
        task = self._task
        if not self._expired or task is None:
            return
        self._expired = False
        # As `asyncio.timeout`: another's cancellation, at the same time, goes first.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End the wait that is under way, once."""
        if self._task is not None and not self._expired:
            self._expired = True
            self._task.cancel()

    def close(self) -> None:
        """Leave the timeout."""
        self._task = None
        self._limit.leave(self)
