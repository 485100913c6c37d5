"""Answers that wait for a release: the state does not change while one is held.

A test that looks at an answer half-way would race its pace; a held one waits for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Final

HOLD_LIMIT_S: Final = 600.0
"""Limit of a hold: a test that ended early releases none."""

_MOST_NAMES: Final = 1000


class AnswerHolds:
    """Holds by name; one that was released stays so. Remembers the latest thousand."""

    def __init__(self, limit_s: float = HOLD_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._holds: OrderedDict[str, asyncio.Event] = OrderedDict()

    async def wait(self, name: str) -> None:
        """Return once `name` is released, at once if it was, or after the limit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limit_s):
                await self._of(name).wait()

    def release(self, name: str) -> None:
        """Release answers that are held by that name, now and later."""
        self._of(name).set()

    def _of(self, name: str) -> asyncio.Event:
        hold = self._holds.setdefault(name, asyncio.Event())
        self._holds.move_to_end(name)
        while len(self._holds) > _MOST_NAMES:
            # A waiter has it, and waits for the limit.
            self._holds.popitem(last=False)
        return hold
