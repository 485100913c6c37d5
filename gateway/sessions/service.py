"""The sessions of one process, for its API. Each method is a part's; see `contract.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from midstream.sessions.access import check_write, not_found
from midstream.sessions.containment import contained

if TYPE_CHECKING:
    from midstream.ids import MessageId, RunId, SessionId
    from midstream.protocol.position import Position
    from midstream.sessions.access import Caller
    from midstream.sessions.changing import Changing
    from midstream.sessions.draining import Draining
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.handoff.desk import Desk
    from midstream.sessions.handoff.handoffs import Handoffs
    from midstream.sessions.log.followers import FeedFollower
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.presence import Presence
    from midstream.sessions.log.readers import LogReader
    from midstream.sessions.opening.start import Starting
    from midstream.sessions.proxied.run_ends import ProxiedRunEnds
    from midstream.sessions.proxied.runs import ProxiedRuns
    from midstream.sessions.pushed.held_runs import HeldRuns
    from midstream.sessions.pushed.runs import PushedRuns
    from midstream.sessions.queue.changes import QueueChanges
    from midstream.sessions.queue.sending import Sending
    from midstream.sessions.queue.steered_reader import SteeredReader
    from midstream.sessions.queue.steering import Steers
    from midstream.sessions.queue.turns import QueueTurns
    from midstream.sessions.queue.waiting_reader import QueuedReader, WaitingResponses
    from midstream.sessions.queued import Queued, SteerAnswer
    from midstream.sessions.reading import Reading
    from midstream.sessions.runs.registry import Runs
    from midstream.sessions.stopping import Stopping
    from midstream.sessions.types import Probe, RunCost, RunHold, Snapshot, StartRequest
    from midstream.sessions.user_data.users import Users
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionPage


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The shutdown of this process's share."""

    draining: Draining
    reaper: Reaper
    hub: Hub
    proxied: ProxiedRuns
    runs: Runs

    async def drain(self, limit_s: float) -> None:
        """Accept nothing more, send readers of others' runs away, and end our own runs."""
        self.draining.started = True
        self.reaper.retire()
        self.hub.wake_all()
        with contained("drain"):
            self.proxied.end_idle()
        await self.runs.drain(limit_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The sessions of all callers. Implements `contract.SessionService`.

    Attributes:
        pushed: the runs that workers outside write.
        proxied: the runs that pass through this process.
        proxied_ends: ends such runs, by a request of their backend.
        held: the places of callers that pushed runs take.
        queues: changes of the queue by people.
        users: all of a user: export and erasure.
        steers: messages for running answers.
        handoffs: sessions that people answer; `desk` shows them.
    """

    store: SessionStore
    starting: Starting
    sending: Sending
    turns: QueueTurns
    waiting: WaitingResponses
    queues: QueueChanges
    steers: Steers
    reading: Reading
    stopping: Stopping
    changing: Changing
    users: Users
    shutdown: Shutdown
    presence: Presence
    pushed: PushedRuns
    proxied: ProxiedRuns
    proxied_ends: ProxiedRunEnds
    held: HeldRuns
    handoffs: Handoffs
    desk: Desk

    def cost(self, request: StartRequest) -> RunCost:
        """See SessionService."""
        return self.starting.cost(request)

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> LogReader | QueuedReader | SteeredReader:
        """See SessionService."""
        return await self.sending.start(caller, request, hold)

    async def start_unread(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> Queued | SteerAnswer:
        """See SessionService."""
        return await self.sending.start_unread(caller, request, hold)

    def queues_send(self, request: StartRequest) -> bool:
        """See SessionService."""
        return self.sending.may_wait(request)

    async def resume(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        after: int | None = None,
        raw: bool = False,
        probe: Probe | None = None,
    ) -> LogReader | None:
        """See SessionService."""
        return await self.reading.resume(
            caller, session_id, run_id=run_id, after=after, raw=raw, probe=probe
        )

    async def stop(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        message_id: MessageId | None = None,
        request_key: str | None = None,
    ) -> list[RunId]:
        """See SessionService."""
        return await self.stopping.stop(
            caller, session_id, run_id=run_id, message_id=message_id, request_key=request_key
        )

    async def snapshot(
        self, caller: Caller, session_id: SessionId, *, side: bool = False
    ) -> Snapshot:
        """See SessionService."""
        return await self.reading.snapshot(caller, session_id, side=side)

    async def follow(
        self,
        caller: Caller,
        session_id: SessionId,
        after: Position | None,
        *,
        tabs: int = 1,
        side: bool = False,
    ) -> FeedFollower:
        """See SessionService."""
        return await self.reading.follow(caller, session_id, after, tabs=tabs, side=side)

    async def list_sessions(
        self, caller: Caller, *, limit: int, before_ms: int | None
    ) -> SessionPage:
        """See SessionService."""
        return await self.store.list_sessions(
            caller.user, tenant=caller.tenant, limit=limit, before_ms=before_ms
        )

    async def delete(
        self, caller: Caller, session_id: SessionId, message_id: MessageId | None
    ) -> None:
        """See SessionService."""
        await self.changing.delete(caller, session_id, message_id)

    async def select(
        self, caller: Caller, session_id: SessionId, message_id: MessageId
    ) -> MessageId:
        """See SessionService."""
        return await self.changing.select(caller, session_id, message_id)

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """See SessionService."""
        await self.changing.erase(caller, session_id)

    async def at_work(self, caller: Caller, session_id: SessionId) -> RunId | None:
        """See SessionService."""
        meta = await self.store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        return meta.active_run_id

    async def withdraw_presence(self, pid: int) -> None:
        """See SessionService."""
        await self.presence.withdraw(pid)

    async def drain(self, limit_s: float) -> None:
        """See SessionService."""
        await self.shutdown.drain(limit_s)
