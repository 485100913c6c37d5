"""`SessionService`, kept: runs are opened, read, stopped; sessions looked at and erased."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct

from gateway.errors import (
    ForbiddenError,
    NotRecoveredError,
    RunActiveError,
    RunNotFoundError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from gateway.ids import MessageId, RunId, SessionId, new_id
from gateway.sessions.accept import Plan, accept, title_of
from gateway.sessions.readers import Draining, LogReader, ReaderLimits, SessionReader
from gateway.sessions.reaper import stored_message
from gateway.sessions.run_log import RunLog
from gateway.sessions.service import FeedEvent, Snapshot, StartRequest
from gateway.store.records import OpenRun, OpenStatus, RunInfo, RunState, StopStatus
from gateway.telemetry import STOPS
from protocol.assembler import Assembler
from protocol.batch import ChunkBatch
from protocol.chunks import FinishChunk

if TYPE_CHECKING:
    from msgspec import Raw

    from gateway.agents.base import Agent
    from gateway.sessions.access import Caller
    from gateway.sessions.feed import Feed
    from gateway.sessions.hub import Hub
    from gateway.sessions.presence import Presence
    from gateway.sessions.reaper import Reaper
    from gateway.sessions.runs import Runs
    from gateway.store.records import Opened, SessionMeta, SessionState
    from gateway.store.store import SessionStore
    from protocol.position import Position

logger = logging.getLogger(__name__)

OPEN_ATTEMPTS: Final = 12
"""How often a send decides again because another tab was quicker."""


class SessionLimits(Struct, frozen=True, kw_only=True):
    """Waits of the service itself.

    Attributes:
        stop_wait_s: how long a stop, and a send behind one, waits for the terminal.
        tombstone_s: how long a stop that comes before its send is remembered.
        refuse_foreign: refuse assistant messages that the session does not have.
    """

    lease_ms: int = 8_000
    stop_wait_s: float = 15.0
    tombstone_s: float = 10.0
    refuse_foreign: bool = True


class AgentFinder(Protocol):
    """The configured agents."""

    def find(self, name: str | None, model: str | None) -> Agent:
        """Return the agent for a request.

        Raises:
            AgentNotFoundError: no such agent, or not with that model.
        """
        ...


class Sessions:
    """The sessions of all callers. See `service.SessionService`."""

    def __init__(
        self,
        store: SessionStore,
        agents: AgentFinder,
        hub: Hub,
        runs: Runs,
        reaper: Reaper,
        presence: Presence,
        draining: Draining,
        *,
        limits: SessionLimits,
        reader_limits: ReaderLimits,
    ) -> None:
        self._store = store
        self._agents = agents
        self._hub = hub
        self._runs = runs
        self._reaper = reaper
        self._presence = presence
        self._draining = draining
        self._limits = limits
        self._reader_limits = reader_limits

    # -- start --------------------------------------------------------------------------------

    async def start(self, caller: Caller, request: StartRequest) -> LogReader:
        """Accept a message and return a reader of its run, from the run's first chunk."""
        self._draining.check()
        agent = self._agents.find(request.agent, request.model)
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(request.session_id))
            log = await self._open(caller, request, agent, feed)
            told = await self._told_before(log)
            cursor = 0 if told is None else log.next
            return self._reader(log, cursor, resources.pop_all(), first=told)

    async def _told_before(self, log: RunLog) -> ChunkBatch | None:
        """For a repeated send whose run's chunks were trimmed: its message, as one batch."""
        if not log.ended:
            return None
        try:
            await log.probe(0)
        except NotRecoveredError:
            message = await stored_message(self._store, log.session_id, log.info.message_id)
            chunks = [*Assembler(log.info.message_id, message).replay(), FinishChunk()]
            return ChunkBatch.aggregate(chunks, log.next - 1)
        return None

    async def _open(
        self, caller: Caller, request: StartRequest, agent: Agent, feed: Feed
    ) -> RunLog:
        run_id = RunId(new_id("run"))
        for _ in range(OPEN_ATTEMPTS):
            state = await self._store.load(request.session_id)
            owner = caller.user if state is None else state.meta.owner
            if state is not None:
                check_write(caller, state.meta)
            if state is not None and state.run is not None and _resolves_nothing(request, state):
                await self._wait_for_turn(request, feed, state.run)
                continue
            plan = accept(request, state, refuse_foreign=self._limits.refuse_foreign)
            opened = await self._open_surely(
                OpenRun(
                    session_id=request.session_id,
                    expected_owner=owner,
                    run=_run_info(run_id, plan, request, agent),
                    user_message=plan.user_message,
                    replaced_message=plan.replaced_message,
                    content_hash=plan.content_hash,
                    new_epoch=secrets.token_hex(6),
                    title=title_of(plan.history[0]) if plan.history else "",
                    request_key=request.request_key,
                    expected_offset="0-0" if state is None else state.meta.position.offset,
                    lease_ms=self._limits.lease_ms,
                )
            )
            run = opened.run
            if run is not None and run.id == run_id:
                log = feed.adopt(run, opened.opened)
                self._runs.begin(log, opened, plan, request, agent, caller)
                return log
            match opened.status:
                case OpenStatus.KNOWN if run is not None:
                    return await self._log_of(feed, run.id)
                case OpenStatus.ACTIVE if run is not None:
                    await self._wait_for_turn(request, feed, run)
                case OpenStatus.ORPHAN if run is not None:
                    if not await self._reaper.close_orphan(request.session_id, run.id):
                        raise _active(run)
                case _:
                    pass  # somebody was quicker: look again
        raise RunActiveError("unable to send; other tabs keep sending. Try again")

    async def _open_surely(self, request: OpenRun) -> Opened:
        """Open, and ask again if the answer was lost: our own run is then known to us by id."""
        try:
            return await self._store.open_run(request)
        except StoreUnavailableError:
            await asyncio.sleep(0.05)
            return await self._store.open_run(request)

    async def _wait_for_turn(self, request: StartRequest, feed: Feed, active: RunInfo) -> None:
        """Wait until the active run has ended, if the request may; refuse it otherwise."""
        if active.state is not RunState.STOPPING:
            if request.on_active != "interrupt":
                raise _active(active)
            await self._store.request_stop(
                request.session_id,
                run_id=active.id,
                message_id=None,
                by="interrupt",
                tombstone_ms=0,
            )
        if not await self._until_ended(await self._log_of(feed, active.id)):
            raise _active(active)

    # -- resume -------------------------------------------------------------------------------

    async def resume(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        after: int | None = None,
        raw: bool = False,
    ) -> LogReader | None:
        """Return a reader of the run under way, or None if nothing runs."""
        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(session_id, meta.owner):
            return None
        wanted = run_id or meta.active_run_id or (meta.last_run_id if after is not None else None)
        if wanted is None:
            return None
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            try:
                log = await self._log_of(feed, wanted)
            except RunNotFoundError:
                return None
            if log.ended and after is None and not raw:
                return None
            if after is None and not raw:
                return await self._join(log, session_id, resources)
            cursor = 0 if after is None else after + 1
            if cursor > log.next or cursor < 0:
                raise NotRecoveredError(
                    "unable to continue after this chunk; the run does not have it",
                    runId=wanted,
                )
            await log.probe(cursor)
            return self._reader(log, cursor, resources.pop_all())

    async def _join(
        self, log: RunLog, session_id: SessionId, resources: AsyncExitStack
    ) -> LogReader:
        base = None
        if log.info.continues and log.producer is None:
            base = await stored_message(self._store, session_id, log.info.message_id)
        state = await log.replay(base)
        return self._reader(log, state.last + 1, resources.pop_all(), first=state)

    def _reader(
        self,
        log: RunLog,
        cursor: int,
        resources: AsyncExitStack,
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
            resources=resources,
        )

    async def _log_of(self, feed: Feed, run_id: RunId) -> RunLog:
        """Return a run's log: the feed's, or one of an older run for this reader alone."""
        log = feed.runs.get(run_id)
        if log is not None:
            return log
        found = await self._store.load_run(feed.session_id, run_id)
        log = feed.runs.get(run_id)
        if log is not None:
            return log
        if found is None:
            raise RunNotFoundError("unable to find this run; the session does not have it")
        info, next_sequence, opened = found
        log = RunLog(self._store, feed.session_id, info, next_sequence=next_sequence, opened=opened)
        if not log.ended:
            feed.check()
        return log

    # -- stop ---------------------------------------------------------------------------------

    async def stop(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        message_id: MessageId | None = None,
    ) -> list[RunId]:
        """Stop, and return the runs that this ended, once their terminal is committed."""
        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(session_id, meta.owner):
            return []
        check_write(caller, meta)
        async with self._hub.attach(session_id) as feed:
            answer = await self._store.request_stop(
                session_id,
                run_id=run_id,
                message_id=message_id,
                by=caller.user,
                tombstone_ms=int(self._limits.tombstone_s * 1000),
            )
            stopped = answer.run_id
            if stopped is None or answer.status in (StopStatus.NOTHING, StopStatus.PREVENTED):
                return []
            if answer.status is StopStatus.ORPHAN:
                await self._reaper.close_orphan(session_id, stopped)
            if not await self._until_ended(await self._log_of(feed, stopped)):
                raise StoreUnavailableError(
                    "unable to confirm the stop yet; it is recorded and the run will end",
                    runId=stopped,
                )
            STOPS.inc()
            return [stopped]

    async def _until_ended(self, log: RunLog) -> bool:
        """Wait for a run's terminal; False if it takes longer than a stop may."""
        try:
            async with asyncio.timeout(self._limits.stop_wait_s):
                while not log.ended:
                    if log.lost and not await log.find_again():
                        return True
                    if not log.ended:
                        await log.pulse.wait()
        except TimeoutError:
            return False
        return True

    # -- look ---------------------------------------------------------------------------------

    async def snapshot(self, caller: Caller, session_id: SessionId) -> Snapshot:
        """The session at one moment."""
        state = await self._store.load(session_id)
        if state is None or not caller.may_read(session_id, state.meta.owner):
            raise _not_found()
        return snapshot_of(state, await self._presence.of(session_id))

    async def follow(
        self, caller: Caller, session_id: SessionId, after: Position | None
    ) -> SessionReader:
        """Follow a session; one that the caller may not see looks as if it never began."""

        async def event() -> FeedEvent:
            state = await self._store.load(session_id)
            if state is None or not caller.may_read(session_id, state.meta.owner):
                empty = Snapshot(id=session_id, epoch="", offset="", title="", messages=(), runs=())
                return FeedEvent("snapshot", msgspec.json.encode(empty), None)
            snapshot = snapshot_of(state, await self._presence.of(session_id))
            return FeedEvent("snapshot", msgspec.json.encode(snapshot), state.meta.position)

        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(session_id, meta.owner):
            after = None
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            return SessionReader(
                feed,
                self._store,
                position=after,
                snapshot=event,
                tab=lambda: self._presence.tab(session_id, caller.user),
                draining=self._draining,
                limits=self._reader_limits,
                resources=resources.pop_all(),
            )

    async def list_sessions(
        self, caller: Caller, *, limit: int, before_ms: int | None
    ) -> list[SessionMeta]:
        """The caller's own sessions, newest activity first."""
        return await self._store.list_sessions(caller.user, limit=limit, before_ms=before_ms)

    async def erase(self, caller: Caller, session_id: SessionId) -> None:
        """Delete a session; what runs is stopped, and its readers told."""
        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(session_id, meta.owner):
            raise _not_found()
        check_write(caller, meta)
        if meta.active_run_id is not None:
            try:
                await self.stop(caller, session_id, run_id=meta.active_run_id)
            except StoreUnavailableError as error:
                logger.info("erase_without_terminal session=%s reason=%s", session_id, error)
        await self._store.erase(session_id)

    async def drain(self, limit_s: float) -> None:
        """Accept nothing more, send readers of others' runs away, and end our own runs."""
        self._draining.started = True
        self._hub.wake_all()
        await self._runs.drain(limit_s)


def check_write(caller: Caller, meta: SessionMeta) -> None:
    """Raise unless the caller may change the session; see `access.py`."""
    if caller.may_write(meta.id, meta.owner):
        return
    if caller.may_read(meta.id, meta.owner):
        raise ForbiddenError("unable to change this session; your role may only read it")
    raise _not_found()


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
    )


def _resolves_nothing(request: StartRequest, state: SessionState) -> bool:
    """Whether it goes on with the very message that a run is writing: not before it ends."""
    run = state.run
    return (
        run is not None
        and run.state is not RunState.ENDED
        and request.messages[-1].role == "assistant"
        and request.messages[-1].id == run.message_id
    )


def _run_info(run_id: RunId, plan: Plan, request: StartRequest, agent: Agent) -> RunInfo:
    continued = plan.continued
    return RunInfo(
        id=run_id,
        state=RunState.OPEN,
        message_id=MessageId(new_id("msg") if continued is None else continued.id),
        user_message_id=plan.user_message_id,
        trigger=request.trigger,
        agent=agent.name,
        continues=continued is not None,
    )


def _active(run: RunInfo) -> RunActiveError:
    return RunActiveError(
        "unable to send while an answer is being written; wait for it, stop it, or send with "
        '"onActive": "interrupt"',
        runId=run.id,
        messageId=run.message_id,
    )


def _not_found() -> SessionNotFoundError:
    return SessionNotFoundError("unable to find this session; it does not exist or is not yours")
