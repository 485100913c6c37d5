"""Opening of a send's run: decided and opened in the store; or found, or refused."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from midstream.agents.base import AgentFinder, executes_nothing
from midstream.errors import (
    AgentNotFoundError,
    FencedError,
    NotRecoveredError,
    RunActiveError,
    StoreUnavailableError,
)
from midstream.ids import MessageId, RunId, new_id
from midstream.protocol.assembler import Assembler
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import FinishChunk
from midstream.sessions.access import check_create, check_write
from midstream.sessions.answerers.terms import now_ms
from midstream.sessions.answerers.told import with_notes
from midstream.sessions.log.run_view import RunView
from midstream.sessions.log.stored_run import stored_message
from midstream.sessions.opening.joining import join
from midstream.sessions.opening.plan import accept, earlier_version, queue_rule, title_of
from midstream.sessions.places import End, needed
from midstream.sessions.runs.idle import is_idle
from midstream.sessions.sentences import run_active
from midstream.sessions.types import NewRun
from midstream.store.calls import Opened, OpenRun, OpenStatus, RunKey, SayStatus
from midstream.store.format import upgrade_needed
from midstream.store.record_codec import encode_by
from midstream.store.records import RunInfo, RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.sessions.access import Caller
    from midstream.sessions.failover.reaper import Reaper
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.opening.due_turns import DueTurns
    from midstream.sessions.stopping import Stopping
    from midstream.sessions.types import Attempt, Plan, SessionLimits, StartRequest
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState

OPEN_ATTEMPTS: Final = 12
"""Attempts of a send: another tab may be quicker."""


QUEUE_WAIT_S: Final = 1.0
"""Wait of one attempt for the queue's next run. All of them last longer than a lease."""


class Admitted(Struct, frozen=True):
    """A send's run.

    Attributes:
        log: of the run.
        new: None if it was there before: the same send came earlier.
        waits: it is new, and waits for a person.
    """

    view: RunView
    new: NewRun | None = None
    waits: bool = False


class Opening:
    """Opens runs for sends.

    Args:
        agents: the agents that earlier runs may have had.
        limits: how long a send waits behind a stop, and what history is refused.
    """

    def __init__(
        self,
        store: SessionStore,
        agents: AgentFinder,
        reaper: Reaper,
        stopping: Stopping,
        due: DueTurns,
        limits: SessionLimits,
    ) -> None:
        self._store = store
        self._due = due
        self._agents = agents
        self._reaper = reaper
        self._stopping = stopping
        self._limits = limits

    async def open(
        self,
        caller: Caller,
        request: StartRequest,
        agent: str,
        feed: Feed,
        facts: bytes = b"",
        *,
        waiting_facts: bytes = b"",
        entry: MessageId | None = None,
        attempt: Attempt | None = None,
    ) -> Admitted:
        """Open the request's run, or find the one that it has already.

        A new run has its lease, and no producer yet; or it waits for one. A message for a run that
        waits already joins it.

        Args:
            agent: the name of who will.
            facts: for another process to resume the run; `waiting_facts`: of one that waits.
            entry: of the queue, whose run it is; taken by this process.
            attempt: of the job that claims the run.

        Raises:
            FencedError: a later attempt has claimed the run that this one was to follow.
            RunActiveError, ConflictError, MessageNotFoundError, SessionNotFoundError,
            InvalidRequestError, StoreUnavailableError, UpgradeNeededError.
        """
        run_id = RunId(new_id("run"))
        for _ in range(OPEN_ATTEMPTS):
            state = await self._store.load(request.session_id)
            if state is None:
                check_create(caller)
            else:
                check_write(caller, state.meta)
                is_send = entry is None and attempt is None and not request.proxied
                found = await self._found(caller, request, state, feed, attempt, is_send=is_send)
                if isinstance(found, Admitted):
                    return found
                if found is None:
                    continue  # it has changed meanwhile
                state = found
            wanted, plan = self._planned(caller, request, state, run_id, agent, attempt)
            rule = queue_rule(plan, state, entry)
            its_facts = facts if wanted.wait_ms is None else waiting_facts
            wanted = replace(wanted, facts=its_facts, entry=entry, queue_rule=rule)
            admitted = await self._admit(request, wanted, plan, feed)
            if admitted is not None:
                return admitted
        raise RunActiveError("unable to send; other tabs keep sending. Try again")

    async def _found(
        self,
        caller: Caller,
        request: StartRequest,
        state: SessionState,
        feed: Feed,
        attempt: Attempt | None,
        *,
        is_send: bool,
    ) -> Admitted | SessionState | None:
        """Return the run that a send has already, or joins; or the session with the send's path.

        Returns:
            None if the session is to be read again.
        """
        if (known := await self._known(request)) not in (None, attempt and attempt.after):
            return Admitted(await feed.view_of(known))
        if state.meta.is_newer:
            raise upgrade_needed(request.session_id)  # it may hold what we do not know
        author = caller.known_in(state.meta.tenant)
        if is_send and (said := await join(self._store, request, state, author)):
            if said is SayStatus.SAID and state.run is not None:
                return Admitted(await feed.view_of(state.run.id))
            return None  # it has been claimed, or another message came first
        if state.run is not None and _resolves_nothing(request, state):
            await self._wait_for_turn(request, feed, state.run)
            return None
        return await self._with_path(request, state)

    def _planned(
        self,
        caller: Caller,
        request: StartRequest,
        state: SessionState | None,
        run_id: RunId,
        agent: str,
        attempt: Attempt | None,
    ) -> tuple[OpenRun, Plan]:
        """Decide what the send asks for, and how its run is opened."""
        tenant = caller.tenant if state is None else state.meta.tenant
        plan = accept(
            request,
            state,
            refuse_foreign=self._limits.refuse_foreign,
            executed_here=self._executed_here(state, agent),
            continues_cut=attempt is not None and attempt.after is not None,
            author=caller.known_in(tenant),
        )
        if state is not None and state.meta.notes:
            plan = replace(plan, history=with_notes(plan.history, state.meta.notes))
        wanted = OpenRun(
            session_id=request.session_id,
            expected_owner=caller.user if state is None else state.meta.owner,
            expected_tenant=tenant,
            run=_run_info(run_id, plan, request, agent, pushed=attempt is not None),
            user_message=plan.user_message,
            replaced_message=plan.replaced_message,
            content_hash=plan.content_hash,
            new_epoch=secrets.token_hex(6),
            title=title_of(plan.history[0]) if plan.history else "",
            request_key=request.request_key,
            expected_offset="0-0" if state is None else state.meta.position.offset,
            lease_ms=self._limits.lease_ms,
            wait_ms=_wait_of(request, plan, state) if attempt is None else None,
            attempt=None if attempt is None else attempt.number,
            patience_ms=None if attempt is None else attempt.patience_ms,
            after=None if attempt is None else attempt.after,
            sender=encode_by(caller.name_in(tenant)),
            earlier=None if state is None else earlier_version(plan, state.path),
        )
        return wanted, plan

    async def _admit(
        self, request: StartRequest, wanted: OpenRun, plan: Plan, feed: Feed
    ) -> Admitted | None:
        """Open a run, or find the one that is in its place.

        Returns:
            None if another request was quicker, or a run had to end first: decide again.
        """
        opened = await open_surely(self._store, wanted)
        run = opened.run
        if run is not None and run.id == wanted.run.id:
            key = RunKey(session_id=request.session_id, run_id=run.id, fence=opened.fence)
            new = NewRun(key=key, plan=plan, is_stopped=opened.stop_requested)
            if new.is_stopped and wanted.wait_ms is not None:  # it has no producer to end it
                await self._reaper.close_orphan(request.session_id, run.id, waits=True)
            waits = wanted.wait_ms is not None
            return Admitted(feed.adopt(run, opened.opened), new, waits)
        match opened.status:
            case OpenStatus.KNOWN if run is not None:
                return Admitted(await feed.view_of(run.id))
            case OpenStatus.ACTIVE if run is not None:
                await self._wait_for_turn(request, feed, run)
            case OpenStatus.TAKEN:
                await self._let_queue_go_on(feed)
            case OpenStatus.WITHDRAWN:
                raise RunActiveError("unable to answer this queued message now; its turn is over")
            case OpenStatus.FENCED:
                raise FencedError.by_later_attempt()
            case OpenStatus.ORPHAN if run is not None:
                if not await self._reaper.close_orphan(request.session_id, run.id):
                    await self._wait_for_turn(request, feed, run)
            case _:
                pass
        return None

    async def _with_path(self, request: StartRequest, state: SessionState) -> SessionState | None:
        """Return the session with the path that the send is about; None if that has moved."""
        place = needed(request, state)
        if isinstance(place, End) or place is None or any(m.id == place for m in state.path):
            return state
        found = await self._store.load(request.session_id, leaf=place)
        if found is None or not found.path or needed(request, found) != place:
            return None
        return found

    async def _known(self, request: StartRequest) -> RunId | None:
        """Return the run of a send that came before.

        Asked first: what the send has done by then may make it a wrong one now (an answer
        that it regenerates is gone, a call that it allows has its result). The store asks
        once more when it opens, for two that come at once.
        """
        if request.request_key is None:
            return None
        return await self._store.run_of_request(request.session_id, request.request_key)

    def _executed_here(self, state: SessionState | None, agent: str) -> Callable[[str], bool]:
        """Return whether a tool is executed by the last run's agent, which may be another."""
        name = agent if state is None or state.run is None else state.run.agent or agent
        with suppress(AgentNotFoundError):
            return self._agents.find(name, None).traits.executes
        return executes_nothing

    async def _let_queue_go_on(self, feed: Feed) -> None:
        """Wait, for a moment, until the run of the queue's next entry is open."""
        self._due.meet(feed.session_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(QUEUE_WAIT_S):
                while feed.active is None:
                    await feed.pulse.wait()

    async def _wait_for_turn(self, request: StartRequest, feed: Feed, active: RunInfo) -> None:
        """Wait until the active run has ended, if the request may; refuse it otherwise."""
        view = await feed.view_of(active.id)
        if active.state is not RunState.STOPPING:
            if request.on_active != "interrupt" and not await _gives_way(view, request):
                raise run_active(active)
            waits = active.state is RunState.WAITING
            await self._stopping.make_way(request.session_id, active.id, waits=waits)
        if not await self._reaper.until_ended(view, self._limits.stop_wait_s):
            raise run_active(active)

    async def told_before(self, view: RunView) -> ChunkBatch | None:
        """For a repeated send whose run's chunks were trimmed: its message, as one batch."""
        if not view.ended:
            return None
        try:
            await view.probe(0)
        except NotRecoveredError:
            message = await stored_message(self._store, view.session_id, view.info.message_id)
            chunks = [*Assembler(view.info.message_id, message).replay(), FinishChunk()]
            return ChunkBatch.aggregate(chunks, view.next - 1)
        return None


async def open_surely(store: SessionStore, request: OpenRun) -> Opened:
    """Open, and ask again if the answer was lost: our own run is then known to us by id."""
    try:
        return await store.open_run(request)
    except StoreUnavailableError:
        await asyncio.sleep(0.05)
        return await store.open_run(request)


def _resolves_nothing(request: StartRequest, state: SessionState) -> bool:
    """Whether it continues the message that a run is still writing: it waits for the end."""
    run = state.run
    return (
        run is not None
        and run.state is not RunState.ENDED
        and request.messages[-1].role == "assistant"
        and request.messages[-1].id == run.message_id
    )


def _wait_of(request: StartRequest, plan: Plan, state: SessionState | None) -> int | None:
    """Return how long a send's run waits for a person; None if its agent answers.

    What continues an answer is for the agent that wrote it.
    """
    if request.proxied or plan.continued is not None:
        return None
    handoff = None if state is None else state.meta.handoff
    found = None if handoff is None else handoff.at(now_ms())
    return request.wait_ms if found is None else found.term_ms


async def _gives_way(view: RunView, request: StartRequest) -> bool:
    """Whether a message of a user ends the run: a proxied one, whose next call may never come."""
    return request.messages[-1].role == "user" and await is_idle(view)


def _run_info(
    run_id: RunId, plan: Plan, request: StartRequest, agent: str, *, pushed: bool
) -> RunInfo:
    continued = plan.continued
    return RunInfo(
        id=run_id,
        state=RunState.OPEN,
        message_id=MessageId(new_id("msg") if continued is None else continued.id),
        user_message_id=plan.user_message_id,
        trigger=request.trigger,
        agent=agent,
        continues=continued is not None,
        proxied=request.proxied,
        pushed=pushed,
    )
