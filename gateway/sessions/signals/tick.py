"""What is measured once a second, and not by an event."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError
from midstream.telemetry import LOOP_LAG_SECONDS, REDIS_MEMORY, UNANSWERED_SENDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from midstream.sessions.signals.pace import RunPace

TICK_S: Final = 1.0
MEMORY_TICKS: Final = 15
"""Redis is asked for its memory as often as Prometheus usually scrapes."""

UNANSWERED_S: Final = 30.0
"""A send that has had no word for so long is unanswered."""


class SignalTick:
    """Measures this process.

    Args:
        memory: asks Redis how much memory it uses; None: it does not say.
        paces: of the runs that this process produces.
    """

    def __init__(
        self,
        memory: Callable[[], Awaitable[int | None]],
        paces: Callable[[], Iterable[RunPace]],
    ) -> None:
        self._memory = memory
        self._paces = paces
        self._ticks = 0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            LOOP_LAG_SECONDS.observe(max(0.0, time.monotonic() - due))
            await self.tick()

    async def tick(self) -> None:
        """Measure once."""
        before = time.monotonic() - UNANSWERED_S
        silent = [pace for pace in self._paces() if pace.first is None and pace.began < before]
        UNANSWERED_SENDS.set(len(silent))
        if self._ticks % MEMORY_TICKS == 0:
            try:
                used = await self._memory()
            except StoreUnavailableError:
                used = None
            REDIS_MEMORY.set(math.nan if used is None else used)
        self._ticks += 1
