"""Blocking functions, off the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_THREADS: Final = 64
"""Most blocking calls at a time; more wait. Abandoned calls count until they end."""


class Threads:
    """Runs each call in a daemon thread of its own.

    A thread cannot be ended from outside. A pool would lose a worker to each call that hangs, and
    the process would wait for that call at its end. Daemon threads avoid both.
    """

    def __init__(self, limit: int = MAX_THREADS) -> None:
        self._free = asyncio.Semaphore(limit)

    async def run(self, function: Callable[[], T], name: str) -> T:
        """Call the function and return its result.

        Raises what it raises. When cancelled, it returns at once and the thread is abandoned.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()
        context = contextvars.copy_context()

        def settle(value: T | None, error: BaseException | None) -> None:
            self._free.release()
            if not outcome.done():
                outcome.set_result((value, error))

        def work() -> None:
            value, error = None, None
            try:
                value = context.run(function)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: no one awaits the result
                loop.call_soon_threadsafe(settle, value, error)

        threading.Thread(target=work, name=name, daemon=True).start()
        value, error = await outcome
        if error is not None:
            raise error
        return value  # type: ignore[return-value] # without an error it is the function's
