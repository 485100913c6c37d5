"""`SessionService`, kept: runs are opened, read, stopped; sessions looked at and erased."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import TYPE_CHECKING

import msgspec

from midstream.errors import (
    AgentNotFoundError,
    NotRecoveredError,
    RunNotFoundError,
    StoreUnavailableError,
)
from midstream.sessions.access import check_write, not_found
from midstream.sessions.containment import contained
from midstream.sessions.contract import FeedEvent, Snapshot, StartRequest
from midstream.sessions.deleting import Deleting
from midstream.sessions.failover.resume import facts_of
from midstream.sessions.log.readers import Draining, LogReader, ReaderLimits, SessionReader
from midstream.sessions.log.stored_run import stored_message
from midstream.sessions.opening.claims import Claims
from midstream.sessions.opening.open_run import AgentFinder, Opening, SessionLimits
from midstream.sessions.opening.own_sends import OwnSends
from midstream.sessions.places import branches
from midstream.sessions.proxied.run_ends import TurnEnds
from midstream.sessions.proxied.runs import Turns
from midstream.sessions.pushed.held_runs import HeldRuns
from midstream.sessions.pushed.runs import PushedRuns, PushLimits
from midstream.sessions.spending import cost_of
from midstream.store.records import RunState, StopStatus
from midstream.telemetry import STOPS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from msgspec import Raw

    from midstream.ids import MessageId, RunId, SessionId
    from midstream.protocol.batch import ChunkBatch
    from midstream.protocol.position import Position
    from midstream.sessions.access import Caller
    from midstream.sessions.contract import RunCost, RunHold
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.orphans import Orphans
    from midstream.sessions.log.run_view import RunLog
    from midstream.sessions.opening.own_sends import Probe
    from midstream.sessions.presence import Presence
    from midstream.sessions.proxied.run import TurnLimits
    from midstream.sessions.runs.registry import Runs
    from midstream.store.records import SessionMeta, SessionState
    from midstream.store.store import SessionStore

logger = logging.getLogger(__name__)


class Sessions:
    """The sessions of all callers. See `service.SessionService`.

    Attributes:
        pushed: their runs that are written from outside.
        turns: the runs that pass through this process, for the proxy.
        turn_ends: ends such runs, by a request of who writes them.
        held: the places of callers that those outside take.
        own_sends: those whose responses are being read.
    """

    def __init__(
        self,
        store: SessionStore,
        agents: AgentFinder,
        hub: Hub,
        runs: Runs,
        reaper: Reaper,
        presence: Presence,
        orphans: Orphans,
        draining: Draining,
        *,
        limits: SessionLimits,
        reader_limits: ReaderLimits,
        push_limits: PushLimits,
        turn_limits: TurnLimits,
    ) -> None:
        self._store = store
        self._agents = agents
        self._hub = hub
        self._runs = runs
        self._reaper = reaper
        self._opening = Opening(store, agents, reaper, limits)
        self._deleting = Deleting(store, reaper)
        self.pushed = PushedRuns(
            store, hub, Claims(store, self._opening, push_limits.lease_ms), draining, push_limits
        )
        self.turns = Turns(
            store,
            hub,
            runs,
            self._opening,
            draining,
            lease_ms=limits.lease_ms,
            limits=turn_limits,
        )
        self.own_sends = OwnSends(store)
        self.turn_ends = TurnEnds(store, hub, draining, self.turns)
        self.held = HeldRuns(store, hub)
        self._presence = presence
        self._orphans = orphans
        self._draining = draining
        self._limits = limits
        self._reader_limits = reader_limits

    # -- start --------------------------------------------------------------------------------

    def cost(self, request: StartRequest) -> RunCost:
        """See SessionService."""
        with suppress(AgentNotFoundError):  # `start` says so
            return cost_of(request, self._agents.find(request.agent, request.model).traits)
        return cost_of(request)

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> LogReader:
        """Accept a message and return a reader of its run, from the run's first chunk."""
        self._draining.check()
        agent = self._agents.find(request.agent, request.model)
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(request.session_id))
            facts = facts_of(agent, caller, request, hold)
            admitted = await self._opening.open(caller, request, agent.name, feed, facts)
            log = admitted.log
            if admitted.new is not None:
                self._runs.begin(log, *admitted.new, request, agent, caller, hold)
            told = await self._opening.told_before(log)
            cursor = 0 if told is None else log.next
            if request.client is not None and request.request_key is None:
                reading = self.own_sends.reading(log, request.client)
                await resources.enter_async_context(reading)
            return self._reader(log, cursor, resources.pop_all(), first=told)

    # -- resume -------------------------------------------------------------------------------

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
        """Return a reader of the run under way, or None if nothing runs."""
        try:
            return await self._resume(caller, session_id, run_id, after, raw=raw, probe=probe)
        except RunNotFoundError:
            if after is None or after < 0:
                return None
            # Who has a part of it must not take what is there for all of it.
            raise NotRecoveredError(
                "unable to continue this answer; the session was deleted or lost. Load it again"
            ) from None

    async def _resume(
        self,
        caller: Caller,
        session_id: SessionId,
        run_id: RunId | None,
        after: int | None,
        *,
        raw: bool,
        probe: Probe | None,
    ) -> LogReader | None:
        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(meta):
            raise RunNotFoundError("unable to find this run; the session does not have it")
        wanted = run_id or meta.active_run_id or (meta.last_run_id if after is not None else None)
        if wanted is None:
            return None
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            log = await feed.log_of(wanted)
            if log.ended and after is None and not raw:
                return None
            first: ChunkBatch | None = None
            if after is None and not raw:

                def state() -> Awaitable[ChunkBatch]:
                    return self._so_far(log, session_id)

                if probe and not await self.own_sends.may_replay(log, probe, state):
                    return None
                first = await state()
                cursor = first.last + 1
            else:
                cursor = 0 if after is None else after + 1
                if cursor > log.next:
                    # Another gateway may have shown what this one has not heard of yet.
                    await log.look()
                if cursor > log.next or cursor < 0:
                    raise NotRecoveredError(
                        "unable to continue after this chunk; the run does not have it",
                        runId=wanted,
                    )
                await log.probe(cursor)
            return self._reader(log, cursor, resources.pop_all(), first=first)

    async def _so_far(self, log: RunLog, session_id: SessionId) -> ChunkBatch:
        base = None
        if log.info.continues and log.producer is None:
            base = await stored_message(self._store, session_id, log.info.message_id)
        return await log.replay(base)

    def _reader(
        self,
        log: RunLog,
        cursor: int,
        hold: AsyncExitStack,
        *,
        first: ChunkBatch | None = None,
    ) -> LogReader:
        return LogReader(
            log,
            cursor=cursor,
            first=first,
            hub=self._hub,
            draining=self._draining,
            limits=self._reader_limits,
            hold=hold,
        )

    # -- stop ---------------------------------------------------------------------------------

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
            answer = await self._store.request_stop(
                session_id,
                run_id=run_id,
                message_id=message_id,
                by=caller.user if meta is None else caller.name_in(meta.tenant),
                tombstone_ms=int(remembered_s * 1000),
                request_key=request_key,
                reach=caller.reach(session_id, meta),
            )
            stopped = answer.run_id
            if stopped is None or answer.status in (StopStatus.NOTHING, StopStatus.PREVENTED):
                return []
            if answer.status is StopStatus.ORPHAN:
                await self._reaper.close_orphan(session_id, stopped)
            log = await feed.log_of(stopped)
            if not await self._reaper.until_ended(log, self._limits.stop_wait_s):
                raise StoreUnavailableError(
                    "unable to confirm the stop yet; it is recorded and the run will end",
                    runId=stopped,
                )
            STOPS.inc()
            return [stopped]

    # -- the demo -----------------------------------------------------------------------------

    async def at_work(self, caller: Caller, session_id: SessionId) -> RunId | None:
        """See SessionService."""
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        return meta.active_run_id

    async def withdraw_presence(self, pid: int) -> None:
        """See SessionService."""
        await self._presence.withdraw(pid)

    # -- look ---------------------------------------------------------------------------------

    async def snapshot(self, caller: Caller, session_id: SessionId) -> Snapshot:
        """The session at one moment."""
        state = await self._store.load(session_id)
        if state is None or not caller.may_read(state.meta):
            raise not_found()
        if state.run is not None and state.run_expired:
            self._orphans.meet(session_id, state.run.id)
        return snapshot_of(state, await self._presence.of(session_id))

    async def follow(
        self, caller: Caller, session_id: SessionId, after: Position | None, *, tabs: int = 1
    ) -> SessionReader:
        """Follow a session; one that the caller may not see looks as if it never began."""
        name = caller.user

        async def event() -> FeedEvent:
            nonlocal name
            state = await self._store.load(session_id)
            if state is None or not caller.may_read(state.meta):
                empty = msgspec.json.encode(Snapshot.empty(session_id))
                return FeedEvent("snapshot", empty, None)
            name = caller.name_in(state.meta.tenant)
            snapshot = snapshot_of(state, await self._presence.of(session_id))
            return FeedEvent("snapshot", msgspec.json.encode(snapshot), state.meta.position)

        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(meta):
            after = None
        else:
            name = caller.name_in(meta.tenant)
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            return SessionReader(
                feed,
                self._store,
                position=after,
                snapshot=event,
                here=lambda: self._presence.open(session_id, name, tabs) if tabs else nullcontext(),
                draining=self._draining,
                limits=self._reader_limits,
                resources=resources.pop_all(),
            )

    async def list_sessions(
        self, caller: Caller, *, limit: int, before_ms: int | None
    ) -> list[SessionMeta]:
        """The caller's own sessions, newest activity first."""
        return await self._store.list_sessions(
            caller.user, tenant=caller.tenant, limit=limit, before_ms=before_ms
        )

    async def delete(
        self, caller: Caller, session_id: SessionId, message_id: MessageId | None
    ) -> None:
        """Delete a message, or all: its words, wherever the session keeps them."""
        self._draining.check()
        await self._deleting.delete(caller, session_id, message_id)

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Delete a session; what runs is stopped, and its readers told."""
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        if meta.active_run_id is not None:
            try:
                await self.stop(caller, session_id, run_id=meta.active_run_id)
            except StoreUnavailableError as error:
                logger.info("erase_without_terminal session=%s reason=%s", session_id, error)
        await self._store.erase(session_id, reach=caller.reach(session_id, meta))

    async def drain(self, limit_s: float) -> None:
        """Accept nothing more, send readers of others' runs away, and end our own runs."""
        self._draining.started = True
        self._reaper.retire()
        self._hub.wake_all()
        with contained("drain"):
            self.turns.end_idle()
        await self._runs.drain(limit_s)


def snapshot_of(state: SessionState, presence: Raw) -> Snapshot:
    """Return what clients see of a state.

    The message that an open run writes is left out: a client that resumes gets it whole, and
    would show it twice.
    """
    run = state.run
    open_message = None if run is None or run.state is RunState.ENDED else run.message_id
    return Snapshot(
        id=state.meta.id,
        epoch=state.meta.position.epoch,
        offset=state.meta.position.offset,
        title=state.meta.title,
        messages=[m.message for m in state.path if m.id != open_message],
        runs=[] if run is None else [run],
        presence=presence,
        branches={id_: of for id_, of in branches(state).items() if id_ != open_message},
    )
