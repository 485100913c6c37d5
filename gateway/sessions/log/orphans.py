"""Runs with an expired lease, as readers and snapshots of a session find them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.ids import RunId, SessionId

MAX_MET: Final = 1_000
"""Orphans that wait for the reaper. What more there are is met again: feeds look every 5 s."""


class Orphans:
    """Queue of the orphans found in this process, for its reaper."""

    def __init__(self) -> None:
        self._met: dict[tuple[SessionId, RunId], None] = {}
        self._some = asyncio.Event()

    def meet(self, session_id: SessionId, run_id: RunId) -> None:
        """Add a run whose lease has ended, as its session says."""
        if len(self._met) < MAX_MET and (session_id, run_id) not in self._met:
            self._met[session_id, run_id] = None
            self._some.set()

    async def wait(self, limit_s: float) -> None:
        """Wait until another is met; at most `limit_s`.

        Those of before are not waited for again: who could not take them tries it with the next.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._some.wait()
        except TimeoutError:
            return
        self._some.clear()

    def take(self, may_take: Callable[[SessionId], bool]) -> list[tuple[SessionId, RunId]]:
        """Return those that were met, once; those that may not be taken yet are kept."""
        taken = [orphan for orphan in self._met if may_take(orphan[0])]
        for orphan in taken:
            del self._met[orphan]
        return taken
