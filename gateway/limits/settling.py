"""Counts the stored bytes and used tokens of runs that have ended."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreError, StoreUnavailableError
from midstream.sessions.containment import contained
from midstream.store.redis.limits import Spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import SessionId
    from midstream.sessions.types import EndedRun
    from midstream.store.redis.limits import LimitCounts

logger = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Sessions that are measured in parallel."""

MAX_WAITING: Final = 10_000
"""Ended runs that wait while Redis is away; beyond them the oldest is not counted."""


class Settling:
    """The ended runs of one process that are not counted yet."""

    def __init__(self, counts: LimitCounts) -> None:
        self._counts = counts
        self._spent: dict[tuple[str, str], Spent] = {}
        self._stored: dict[SessionId, Sequence[str]] = {}

    def add(self, end: EndedRun, stored: Sequence[str], used: Sequence[str]) -> None:
        """Note the end of a run, with the scopes that count its bytes and its tokens."""
        if stored:
            self._stored[end.session_id] = stored
        with contained("limits", session=end.session_id, run=end.run_id):
            tokens = end.count_tokens() if used else 0
            for scope in used:
                self._spent[scope, end.run_id] = Spent(scope, end.run_id, tokens)
        if len(self._stored) > MAX_WAITING:
            del self._stored[next(iter(self._stored))]
        if len(self._spent) > MAX_WAITING:
            del self._spent[next(iter(self._spent))]

    async def settle(self) -> None:
        """Count all noted runs.

        Raises:
            StoreUnavailableError: the rest is counted the next time.
        """
        spent = [*self._spent.values()]
        try:
            await self._counts.spend(spent)
        except StoreUnavailableError:
            raise
        except StoreError as error:
            logger.warning("tokens_not_counted runs=%d reason=%s", len(spent), error)
        for each in spent:
            if self._spent.get((each.scope, each.run)) is each:
                del self._spent[each.scope, each.run]
        while self._stored:
            some = [*self._stored.items()][:AT_ONCE]
            for session_id, _ in some:
                del self._stored[session_id]
            done = await asyncio.gather(*(self._count(*each) for each in some))
            for session_id, scopes in (
                each for each, is_done in zip(some, done, strict=True) if not is_done
            ):
                self._stored.setdefault(session_id, scopes)
            if not all(done):
                raise StoreUnavailableError("unable to count what is stored; Redis is away")

    async def _count(self, session_id: SessionId, scopes: Sequence[str]) -> bool:
        try:
            await self._counts.stored.count(session_id, scopes)
        except StoreUnavailableError:
            return False
        except StoreError as error:
            logger.warning("bytes_not_counted session=%s reason=%s", session_id, error)
        return True
