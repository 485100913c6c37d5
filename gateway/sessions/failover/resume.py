"""Resume of runs whose process died.

The reaper asks here after each take-over. A run whose agent outlives its process
(`AgentTraits.durable`) is produced on by this one's agent of the same name, and its readers notice
nothing; any other is closed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.agents.base import AgentFinder, AgentRequest, Interrupted
from midstream.errors import AgentNotFoundError
from midstream.ids import NO_TENANT, TenantId, UserId, part_id
from midstream.protocol.chunks import FinishChunk
from midstream.protocol.errors import MalformedFrameError
from midstream.sessions.answerers.terms import now_ms
from midstream.sessions.answerers.told import with_notes
from midstream.sessions.log.stored_run import message_before, run_history, stored_chunks
from midstream.sessions.runs.replay import read_kept
from midstream.store.calls import WaitStatus
from midstream.telemetry import RUNS_RESUMED

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.agents.base import AnyAgent, DurableRuns
    from midstream.sessions.access import Caller
    from midstream.sessions.runs.registry import Runs
    from midstream.sessions.types import RunHold, StartRequest
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

MAX_TAKE_OVERS: Final = 5
"""Resumes of one run: enough for the deploys that a long answer lives through. A run that brings
its processes down must not go round all gateways."""


NOTHING: Final = Raw(b"null")


class RunFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts of a run that its session does not hold, for a resume. No client is shown them.

    `hold`: of its caller's limits. `waits`: it was opened to wait for a person.
    """

    user: UserId
    tenant: TenantId = NO_TENANT
    model: str | None = None
    body: Raw = Raw(b"{}")
    hold: Raw = NOTHING
    waits: bool = False


_decoder: Final = msgspec.json.Decoder(RunFacts)


def facts_of(
    agent: AnyAgent,
    caller: Caller,
    request: StartRequest,
    hold: RunHold | None = None,
    *,
    waits: bool = False,
) -> bytes:
    """Return the facts that another process needs to resume a run; empty if none could.

    Args:
        waits: of a run that waits for a person: its agent may be given it by any process.
    """
    if agent.traits.durable is None and not waits:
        return b""
    facts = RunFacts(
        user=caller.user,
        tenant=caller.tenant,
        model=request.model,
        body=request.body,
        hold=NOTHING if hold is None or waits else Raw(hold.told()),
        waits=waits,
    )
    return msgspec.json.encode(facts)


class Resuming:
    """Resumes runs that were taken over."""

    def __init__(
        self,
        store: SessionStore,
        agents: AgentFinder,
        runs: Runs,
        adopt_hold: Callable[[bytes], RunHold | None],
    ) -> None:
        self._store = store
        self._adopt_hold = adopt_hold
        self._agents = agents
        self._runs = runs

    async def resume(self, taken: TakenOver) -> bool:
        """Resume a run that was just taken over.

        Returns:
            False if it is to be closed instead; what it held elsewhere is released then.

        Raises:
            StoreUnavailableError: it is an orphan again once its new lease has run out.
        """
        recalled = await self._store.recall(taken.key)
        if recalled is None or not recalled.facts:
            return False
        try:
            facts = _decoder.decode(recalled.facts)
            agent = self._agents.find(taken.run.agent or None, facts.model)
        except (AgentNotFoundError, msgspec.MsgspecError):
            return False
        if facts.waits and await self._waits_again(taken):
            return True
        durable = agent.traits.durable
        if durable is None:
            return False
        try:
            chunks = await stored_chunks(self._store, taken)
            sequence, point = read_kept(recalled.point)
        except (MalformedFrameError, ValueError) as error:
            logger.error("run_unreadable run=%s reason=%s", taken.run.id, error)
            return False
        interrupted = Interrupted(chunks=chunks, next=min(sequence, len(chunks)), point=point)
        if sequence > max(1, len(chunks)) or not self._may_resume(taken, durable, interrupted):
            if point:
                await durable.abandon(point)
            return False
        await self._resume(taken, agent, interrupted, facts)
        return True

    async def _waits_again(self, taken: TakenOver) -> bool:
        """Let a run wait for the next person, if the one who wrote it is gone."""
        meta = await self._store.load_meta(taken.key.session_id)
        handoff = None if meta is None or meta.handoff is None else meta.handoff.at(now_ms())
        if handoff is None or taken.stopped_by is not None:
            return False
        return await self._store.wait(taken.key, handoff.term_ms) is WaitStatus.WAITING

    async def give(self, taken: TakenOver) -> bool:
        """Give a run that has waited, and in which nothing was said, to its agent.

        Returns:
            False if it cannot be given: it has no agent here.

        Raises:
            StoreUnavailableError: it is an orphan once its lease has run out.
        """
        recalled = await self._store.recall(taken.key)
        if recalled is None or not recalled.facts or taken.next:
            return False
        try:
            facts = _decoder.decode(recalled.facts)
            agent = self._agents.find(taken.run.agent or None, facts.model)
        except (AgentNotFoundError, msgspec.MsgspecError):
            return False
        await self._resume(taken, agent, None, facts)
        return True

    def _may_resume(self, taken: TakenOver, durable: DurableRuns, interrupted: Interrupted) -> bool:
        if taken.stopped_by is not None:
            return False
        if any(isinstance(chunk, FinishChunk) for chunk in interrupted.chunks[-1:]):
            return False  # it has its end, and is only to be closed
        if taken.key.fence - 1 > MAX_TAKE_OVERS:
            logger.warning("run_taken_over_too_often run=%s", taken.run.id)
            return False
        return durable.can_resume(interrupted)

    async def _resume(
        self, taken: TakenOver, agent: AnyAgent, interrupted: Interrupted | None, facts: RunFacts
    ) -> None:
        run, session_id = taken.run, taken.key.session_id
        continued = await message_before(self._store, session_id, run)
        state = await self._store.load(session_id)
        path = () if state is None else state.path
        request = AgentRequest(
            session_id=session_id,
            run_id=run.id,
            message_id=run.message_id,
            user=facts.user,
            tenant=facts.tenant,
            history=with_notes(
                run_history(path, run.message_id, continued),
                () if state is None else state.meta.notes,
            ),
            model=facts.model,
            body=facts.body,
            new_id=part_id,
        )
        RUNS_RESUMED.inc()
        logger.info(
            "run_resumed run=%s session=%s agent=%s next=%d point=%d",
            run.id,
            session_id,
            run.agent,
            taken.next,
            0 if interrupted is None else interrupted.next,
        )
        hold = self._adopt_hold(bytes(facts.hold))
        self._runs.resume(taken, agent, request, continued, interrupted, hold)
