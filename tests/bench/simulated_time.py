"""Time that passes as soon as nothing is left to do before."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable


class SimulatedTime(asyncio.SelectorEventLoop):
    """An event loop whose clock goes on as soon as there is nothing to do before."""

    def __init__(self) -> None:
        super().__init__(_NoSelector(self))
        self.now = 1_000.0

    def time(self) -> float:
        """Return the simulated time in seconds."""
        return self.now


class _NoSelector(selectors.SelectSelector):
    """Waits for nothing but the clock."""

    def __init__(self, loop: SimulatedTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let the time pass."""
        if timeout is not None and timeout > 0:
            self._loop.now += timeout
        return []


def simulated(play: Callable[[], Any]) -> Any:
    """Return what a coroutine returns that is played in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        loop = cast("SimulatedTime", runner.get_loop())
        with patch("time.monotonic", lambda: loop.now):
            return runner.run(play())
