"""Sessions whose next entry of the queue somebody waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from midstream.ids import SessionId

MAX_MET: Final = 1_000
"""Sessions that wait here. The hint of the queues leads to further ones."""


class DueTurns:
    """Sessions for this process to look at, each once."""

    def __init__(self) -> None:
        self._met: dict[SessionId, None] = {}
        self._some = asyncio.Event()

    def meet(self, session_id: SessionId) -> None:
        """Add a session."""
        if len(self._met) < MAX_MET:
            self._met[session_id] = None
            self._some.set()

    async def next(self) -> SessionId:
        """Wait for a session, and remove it."""
        while not self._met:
            self._some.clear()
            await self._some.wait()
        session_id = next(iter(self._met))
        del self._met[session_id]
        return session_id
