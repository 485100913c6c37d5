"""Feeds that stay attached for a while after they were used.

A worker renews its run every few seconds. To attach anew each time would read its session
whole each time, history and all.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from midstream.sessions.containment import contained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.ids import SessionId
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub


class FeedCache:
    """Attaches to sessions, and lets go of them late. `run` is its task.

    Args:
        linger_s: how long after its last use a feed stays attached.
    """

    def __init__(self, hub: Hub, linger_s: float) -> None:
        self._hub = hub
        self._linger_s = linger_s
        self._kept: dict[SessionId, AsyncExitStack] = {}
        self._used_at: dict[SessionId, float] = {}

    @asynccontextmanager
    async def hold(self, session_id: SessionId) -> AsyncIterator[Feed]:
        """Hold a session's feed, as `Hub.attach` does, and a while longer.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        async with self._hub.attach(session_id) as feed:
            self._used_at[session_id] = time.monotonic()
            if session_id not in self._kept:
                kept = self._kept[session_id] = AsyncExitStack()
                await kept.enter_async_context(self._hub.attach(session_id))
            yield feed

    async def run(self) -> None:
        """Let go of what was not used lately, until cancelled; then of all."""
        try:
            while True:
                await asyncio.sleep(self._linger_s / 2)
                before = time.monotonic() - self._linger_s
                for session_id in [s for s, used in self._used_at.items() if used < before]:
                    await self._let_go(session_id)
        finally:
            for session_id in list(self._kept):
                await self._let_go(session_id)

    async def _let_go(self, session_id: SessionId) -> None:
        self._used_at.pop(session_id, None)
        kept = self._kept.pop(session_id, None)
        if kept is not None:
            with contained("attention", session=session_id):
                await kept.aclose()
