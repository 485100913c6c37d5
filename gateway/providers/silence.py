"""A limit on each of many waits, for little more than an assignment a wait.

`asyncio.timeout` makes and cancels a timer every time: 5 µs, more than all else that reading a
chunk costs here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class SilenceLimit:
    """Ends a wait that takes longer than `limit_s`: `with limit: await ...`, any number of times.

    One wait at a time, in whatever task. One timer is set for all of them; when it is due it
    looks how long the wait under way has taken, and is set again for what is left of it.
    `close` cancels it.

    Raises (from the block):
        TimeoutError: the wait was ended.
    """

    __slots__ = ("_cancelling", "_expired", "_limit_s", "_loop", "_since", "_task", "_timer")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._since = 0.0
        self._cancelling = 0
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        self._task = task
        self._since = self._loop.time()
        if task is not None:
            self._cancelling = task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._expired or task is None:
            return
        self._expired = False
        # As `asyncio.timeout`: another's cancellation, at the same time, goes first.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """Let go of the timer; no wait may be under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        left_s = self._limit_s
        if self._task is not None:
            left_s -= self._loop.time() - self._since
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
            return
        self._timer = None
        if self._task is not None:
            self._expired = True
            self._task.cancel()
