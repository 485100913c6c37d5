"""Presence: the users that have a session open, announced by each process for its followers.

A follower may speak for several tabs: those of a browser share one connection.

Presence is not in the log. An entry expires unless its process refreshes it: the tabs of a
process that crashed are gone within 15 s, a lifetime and the interval of another process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError
from midstream.sessions.containment import Quarantine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from msgspec import Raw

    from midstream.ids import SessionId, UserId
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

LIFETIME_S: Final = 10.0
REPEAT_S: Final = 3.0


class Presence:
    """This process's part of the presence of all sessions. `run` is its task."""

    def __init__(
        self, store: SessionStore, *, lifetime_s: float = LIFETIME_S, repeat_s: float = REPEAT_S
    ) -> None:
        self._store = store
        self._process = f"{_named(os.getpid())}{secrets.token_hex(8)}"
        self._lifetime_ms = int(lifetime_s * 1000)
        self._repeat_s = repeat_s
        self._tabs: Counter[tuple[SessionId, UserId]] = Counter()
        self._failing: Quarantine[tuple[SessionId, UserId]] = Quarantine("presence")

    @asynccontextmanager
    async def open(self, session_id: SessionId, user: UserId, tabs: int = 1) -> AsyncIterator[None]:
        """Count a follower's tabs for as long as it is there. Never fails: it is a courtesy.

        The last of a user's followers is missed only when `run` repeats itself: one that
        connects again, to speak for another number of tabs, does not go and come.
        """
        key = session_id, user
        self._tabs[key] += tabs
        try:
            await self._announce(key)
            yield
        finally:
            self._tabs[key] -= tabs
            if self._tabs[key]:
                await self._announce(key)

    async def of(self, session_id: SessionId) -> Raw:
        """Return who has a session open: `[{user, tabs, lastSeenMs}]` as JSON."""
        return await self._store.presence(session_id, lifetime_ms=self._lifetime_ms)

    async def withdraw(self, pid: int) -> None:
        """Remove the entries of a killed process, before they expire."""
        await self._store.withdraw(_named(pid), lifetime_ms=self._lifetime_ms)

    async def run(self) -> None:
        """Refresh our entries until cancelled, then withdraw those that left."""
        try:
            while True:
                await asyncio.sleep(self._repeat_s)
                for key in list(self._tabs):
                    await self._announce(key)
                    if not self._tabs[key]:
                        del self._tabs[key]
        finally:
            for key, tabs in list(self._tabs.items()):
                if not tabs:
                    await self._announce(key)

    async def _announce(self, key: tuple[SessionId, UserId]) -> None:
        session_id, user = key
        if not self._failing.admits(key):
            return
        try:
            await self._store.announce(
                session_id,
                self._process,
                user,
                tabs=self._tabs[key],
                lifetime_ms=self._lifetime_ms,
            )
        except StoreUnavailableError as error:
            logger.info("presence_unsaid session=%s reason=%s", session_id, error)
        except Exception as error:
            self._failing.failed(key, error, session=session_id)
        else:
            self._failing.succeeded(key)


def _named(pid: int) -> str:
    return f"{pid}-"
