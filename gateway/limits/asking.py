"""Asks Redis for all waiting requests, one round trip after the other, each with a time limit."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.redis.limits import LimitCounts, Take, Taken

logger = logging.getLogger(__name__)

AWAY_S: Final = 1.0
"""Time without questions after Redis did not answer in time."""

MAX_ASKED: Final = 200
"""Requests in one round trip."""

LATE_S: Final = 0.01
"""Duration of an event loop's turn that shows that this process is behind, not Redis."""

TURNS: Final = 5
"""Turns of the event loop within which an answer that has arrived is read."""

MAX_WAITS: Final = 20
"""Waits of a process that is behind; after them, a second, it decides by itself."""


class Asking:
    """The questions of one process. `run` is its task.

    Args:
        wait_s: time that Redis has to answer.
    """

    def __init__(self, counts: LimitCounts, lease_ms: int, *, wait_s: float) -> None:
        self._counts = counts
        self._lease_ms = lease_ms
        self._wait_s = wait_s
        self._waiting: list[tuple[Sequence[Take], asyncio.Future[Sequence[Taken] | None]]] = []
        self._any = asyncio.Event()
        self._away_until = 0.0

    async def ask(self, wanted: Sequence[Take]) -> Sequence[Taken] | None:
        """Take a request's tokens, in all its scopes or in none; None if Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        answer: asyncio.Future[Sequence[Taken] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        self._any.set()
        return await answer

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self._any.wait()
                asked = self._waiting[:MAX_ASKED]
                del self._waiting[:MAX_ASKED]
                if not self._waiting:
                    self._any.clear()
                answers: Sequence[Sequence[Taken] | None] = [None] * len(asked)
                try:
                    if time.monotonic() >= self._away_until:
                        answers = await self._round([wanted for wanted, _ in asked]) or answers
                finally:
                    for (_, waiting), answer in zip(asked, answers, strict=True):
                        if not waiting.done():
                            waiting.set_result(answer)
        finally:
            for _, waiting in self._waiting:
                waiting.cancel()

    async def _round(self, wanted: Sequence[Sequence[Take]]) -> Sequence[Sequence[Taken]] | None:
        asking = asyncio.ensure_future(self._counts.take(wanted, self._lease_ms))
        reason = "slow"
        try:
            for _ in range(MAX_WAITS):
                began = time.monotonic()
                await asyncio.wait({asking}, timeout=self._wait_s)
                waited_until = time.monotonic()
                for _ in range(TURNS):
                    if asking.done():
                        return asking.result()
                    await asyncio.sleep(0)
                late_s = waited_until - began - self._wait_s
                if max(late_s, time.monotonic() - waited_until) < LATE_S:
                    break
        except StoreError as error:
            reason = error.code
        finally:
            asking.cancel()
        self._away_until = time.monotonic() + AWAY_S
        logger.warning("limits_unchecked reason=%s requests=%d", reason, len(wanted))
        return None
