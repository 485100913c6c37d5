"""Rest of a response behind an answer's last event: read for a moment, then released.

An answer ends with its protocol's last event, whatever its connection does afterwards. A
connection whose response was read to its end serves the next request; so the end of the body
is awaited in the background, after the answer is complete.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    _Close = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)

DRAIN_S: Final = 1.0
"""Limit of the wait for the end of a body. A new connection costs less than a longer wait."""

MAX_DRAINED_BYTES: Final = 64 * 1024
"""Of one body: comments and an event or two; more is no end."""

MAX_DRAINS: Final = 64
"""At the same time; further connections are closed at once."""

CLOSING_S: Final = 5.0
"""Limit of the wait for the last event once the answer says that it ends: usage comes between."""


class Drains:
    """Reads the rest of responses whose answer has ended."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], _Close] = {}

    async def let_go(self, rest: AsyncIterator[bytes], close: _Close) -> None:
        """Read the rest of a response in the background, and close it.

        Args:
            rest: the body, from where its reader has stopped.
            close: gives the connection back, or ends it if the body has not come to its end;
                may be called twice.
        """
        if len(self._tasks) >= MAX_DRAINS:
            await _closed(close)
            return
        task = asyncio.create_task(_drain(rest, close), name="drain-provider-response")
        self._tasks[task] = close
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        """Let go of all of them now."""
        tasks = dict(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in tasks.values():
            await _closed(close)  # a task that had not begun has closed nothing


async def _drain(rest: AsyncIterator[bytes], close: _Close) -> None:
    size = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            async for data in rest:
                size += len(data)
                if size > MAX_DRAINED_BYTES:
                    break
    except Exception as error:
        # The answer is complete: the end of its connection is no failure.
        logger.debug("response_not_drained reason=%r", error)
    finally:
        await _closed(close)


async def _closed(close: _Close) -> None:
    try:
        await close()
    except Exception as error:
        logger.debug("response_not_closed reason=%r", error)
