"""Stops: every request for one is recorded here, and nowhere else.

docs/architecture.md, "How a stop travels", follows it from here to the run's end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError
from midstream.ids import EVERYWHERE
from midstream.sessions.access import check_write
from midstream.store.calls import StopStatus
from midstream.store.records import RunState
from midstream.telemetry import STOP_SECONDS, STOPS

if TYPE_CHECKING:
    from midstream.ids import MessageId, Reach, RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.types import SessionLimits
    from midstream.store.calls import StopRequested
    from midstream.store.contract import SessionStore

BY_A_NEW_SEND: Final = "interrupt"
"""Recorded as who stopped a run that gave way to a new message."""


class Stopping:
    """Records stops, and waits for the terminals of the runs that they end."""

    def __init__(
        self, store: SessionStore, hub: Hub, reaper: Reaper, limits: SessionLimits
    ) -> None:
        self._store = store
        self._hub = hub
        self._reaper = reaper
        self._limits = limits

    async def stop(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        message_id: MessageId | None = None,
        request_key: str | None = None,
    ) -> list[RunId]:
        """Stop, and return the runs that this ended, once their terminal is committed."""
        began = time.monotonic()
        meta = await self._store.load_meta(session_id)
        if meta is not None:
            if not caller.may_read(meta):
                return []
            check_write(caller, meta)
        elif message_id is None and request_key is None:
            return []
        limits = self._limits
        remembered_s = limits.tombstone_s if request_key is None else limits.send_tombstone_s
        async with self._hub.attach(session_id) as feed:
            waits = feed.active is not None and feed.active.info.state is RunState.WAITING
            answer = await self._record(
                session_id,
                run_id=run_id,
                message_id=message_id,
                by=caller.user if meta is None else caller.name_in(meta.tenant),
                remembered_s=remembered_s,
                request_key=request_key,
                reach=caller.reach(session_id, meta),
            )
            ended = [
                await self._until_ended(feed, answer, began, waits=waits),
                *[await self._until_ended(feed, each, began) for each in answer.beside],
            ]
            return [run_id for run_id in ended if run_id is not None]

    async def _until_ended(
        self, feed: Feed, answer: StopRequested, began: float, *, waits: bool = False
    ) -> RunId | None:
        """Wait for the terminal of a run whose stop is recorded; None if there is no run.

        Args:
            began: when the stop was asked for, by `time.monotonic`.
            waits: the run waits for somebody: nobody else ends it.
        """
        stopped = answer.run_id
        if stopped is None or answer.status in (StopStatus.NOTHING, StopStatus.PREVENTED):
            return None
        if answer.status is StopStatus.ORPHAN:
            await self._reaper.close_orphan(feed.session_id, stopped, waits=waits)
        view = await feed.view_of(stopped)
        if not await self._reaper.until_ended(view, self._limits.stop_wait_s):
            raise StoreUnavailableError(
                "unable to confirm the stop yet; it is recorded and the run will end",
                runId=stopped,
            )
        STOPS.inc()
        STOP_SECONDS.observe(time.monotonic() - began)
        return stopped

    async def make_way(self, session_id: SessionId, run_id: RunId, *, waits: bool = False) -> None:
        """Stop a run for a new message, whose send waits for the end by itself.

        Args:
            waits: the run waits for somebody: nobody else ends it.
        """
        answer = await self._record(session_id, run_id=run_id, by=BY_A_NEW_SEND, pauses=False)
        if waits and answer.status is StopStatus.ORPHAN:
            await self._reaper.close_orphan(session_id, run_id, waits=True)

    async def _record(
        self,
        session_id: SessionId,
        *,
        by: str,
        run_id: RunId | None = None,
        message_id: MessageId | None = None,
        request_key: str | None = None,
        remembered_s: float = 0,
        reach: Reach = EVERYWHERE,
        pauses: bool = True,
    ) -> StopRequested:
        """Write a stop into the log, or remember it for a send that has not arrived.

        The log brings it to the run's producer, in whichever process that is.
        """
        return await self._store.request_stop(
            session_id,
            run_id=run_id,
            message_id=message_id,
            by=by,
            tombstone_ms=int(remembered_s * 1000),
            request_key=request_key,
            reach=reach,
            pauses=pauses,
        )
