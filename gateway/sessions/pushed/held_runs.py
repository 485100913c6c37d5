"""Places that are taken for runs which workers outside write: given back when such a run ends.

Its worker may continue it through another process. The feed tells of its end all the same.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.errors import GatewayError
from midstream.protocol.errors import MalformedFrameError
from midstream.sessions.log.stored_run import stored_message
from midstream.sessions.spending import tokens_used
from midstream.sessions.types import EndedRun
from midstream.store.records import RunOutcome

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.types import RunHold
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo

logger = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""Interval at which a silent run is looked at again."""


class HeldRuns:
    """The places of this process's claims."""

    def __init__(self, store: SessionStore, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._tasks: set[asyncio.Task[None]] = set()

    def until_ended(self, session_id: SessionId, run_id: RunId, hold: RunHold) -> None:
        """Keep a place until the run has ended."""
        hold.keep()
        task = asyncio.create_task(
            self._release_at_end(session_id, run_id, hold), name=f"held run {run_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Give all places back."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _release_at_end(self, session_id: SessionId, run_id: RunId, hold: RunHold) -> None:
        end = EndedRun(session_id, run_id, lambda: 0)
        try:
            async with self._hub.attach(session_id) as feed:
                view = await feed.view_of(run_id)
                while not await view.until_ended(LOOK_S):
                    pass
            tokens = await self._tokens(session_id, view.info)
            end = EndedRun(session_id, run_id, lambda: tokens)
        except GatewayError as error:
            logger.info("held_run_unwatched run=%s reason=%s", run_id, error)
        finally:
            hold.release(end)

    async def _tokens(self, session_id: SessionId, run: RunInfo) -> int:
        """Return the tokens that a run has used, by its message."""
        try:
            message = await stored_message(self._store, session_id, run.message_id)
        except MalformedFrameError:
            return 0
        if message is None:
            return 0
        return tokens_used(message.raw, whole=run.outcome is RunOutcome.FINISHED)
