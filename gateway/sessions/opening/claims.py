"""Claims: runs that belong to the last attempt that claimed them by their key.

A worker that crashes is started again and knows its work by a key, not by our ids. The first
claim opens the run; a later one takes it over from its producer, alive or not: the fence
rises, and what the older one still sends is refused. A run that was interrupted, because its worker
was away for too long, is followed by another under the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from midstream.errors import InvalidRequestError, KeyReusedError, RunActiveError
from midstream.protocol.chunks import AnyChunk
from midstream.protocol.messages import UIMessage
from midstream.sessions.access import check_agent
from midstream.sessions.log.stored_run import message_before, stored_chunks
from midstream.sessions.opening.plan import message_of
from midstream.sessions.opening.side_run import side_prompt_hash
from midstream.sessions.sentences import run_active
from midstream.sessions.types import NO_ATTEMPT, Attempt, Plan
from midstream.store.calls import RunKey
from midstream.store.records import RunInfo, RunOutcome, RunState, Trigger

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.opening.open_run import Opening
    from midstream.sessions.opening.side_run import SideOpening
    from midstream.sessions.types import NewRun, StartRequest
    from midstream.store.contract import SessionStore

CLAIM_ATTEMPTS: Final = 5
"""Attempts of a claim: the run may end, or be claimed by another, in between."""


class Claimed(Struct, frozen=True, kw_only=True):
    """A run, and what it holds.

    Attributes:
        key: the right to write it; None if it has ended: there is nothing left to write.
        stored: its chunks so far, from `start` on; empty for a new run, and for an ended one.
        continued: the message that the run continues, as it was before; None: it has its own.
        plan: what a new run is to do; None for one that was there before.
        stopped_by: a stop is recorded for the run: it is to be ended as stopped.
    """

    run: RunInfo
    key: RunKey | None
    stored: Sequence[AnyChunk] = ()
    continued: UIMessage | None = None
    plan: Plan | None = None
    stopped_by: str | None = None


class Claims:
    """Opens and takes over runs by their keys."""

    def __init__(
        self, store: SessionStore, opening: Opening, sides: SideOpening, lease_ms: int
    ) -> None:
        self._store = store
        self._opening = opening
        self._sides = sides
        self._lease_ms = lease_ms

    async def claim(
        self,
        caller: Caller,
        request: StartRequest,
        agent: str,
        feed: Feed,
        *,
        takes_over: bool = True,
        attempt: Attempt | None = None,
    ) -> Claimed:
        """Open the request's run, or take it over.

        Args:
            request: with a `request_key`, which is the run's.
            agent: the name of who will write it.
            feed: of the request's session.
            takes_over: also a run that is under way.
            attempt: of a job; None: a call of a proxied turn, which asks something new each time.

        Raises:
            RunActiveError: another run is under way, or this one is, and not taken over.
            FencedError: a later attempt has claimed the run.
            KeyReusedError: the key is that of another question, or of another agent.
            Others: see `Opening.open` and `SideOpening.open`.
        """
        if request.request_key is None:
            raise InvalidRequestError("unable to claim a run; it needs a key")
        check_agent(caller, agent)
        asked = request
        opening = self._sides if request.side else self._opening
        for _ in range(CLAIM_ATTEMPTS):
            admitted = await opening.open(caller, request, agent, feed, attempt=attempt)
            if admitted.new is not None:
                return _opened(admitted.view.info, admitted.new)
            info = admitted.view.info
            check_agent(caller, info.agent)
            is_ours = await self._is_ours(request, info)
            if attempt is not None and is_ours:
                await self._check_same(asked, agent, info)
            if info.state is not RunState.ENDED:
                if not (is_ours and takes_over):
                    raise run_active(info)
                if (taken := await self._take_over(asked.session_id, info.id, attempt)) is not None:
                    return taken
                await feed.load()
            elif is_ours and (again := await self._again(asked, attempt, info)) is not None:
                request, attempt = again
            else:
                return Claimed(run=info, key=None)
        raise RunActiveError("unable to claim this run; others keep claiming it. Try again")

    async def _again(
        self, asked: StartRequest, attempt: Attempt | None, ended: RunInfo
    ) -> tuple[StartRequest, Attempt] | None:
        """Return what opens a further run for a job whose run was interrupted.

        The run continues the message of the interrupted one; or, if the attempt replays, answers
        the question once more.

        Returns:
            None if the run was not interrupted, or something newer has followed it.
        """
        if attempt is None or ended.outcome is not RunOutcome.INTERRUPTED:
            return None
        state = await self._store.load(asked.session_id)
        if state is None or state.run is None or state.run.id != ended.id:
            return None
        attempt = replace(attempt, after=ended.id)
        if attempt.replays:
            return None if asked.messages[-1].role == "assistant" else (asked, attempt)
        written = next((each for each in state.path if each.id == ended.message_id), None)
        if written is None:
            return asked, attempt
        message = UIMessage.parse(written.message)
        return replace(asked, messages=(message,), trigger=Trigger.SUBMIT, parent_id=UNSET), attempt

    async def _take_over(
        self, session_id: SessionId, run_id: RunId, attempt: Attempt | None
    ) -> Claimed | None:
        """Take a run over, and read its chunks; None if it ended or was claimed meanwhile."""
        attempt = attempt or NO_ATTEMPT
        taken = await self._store.take_over(
            session_id,
            run_id,
            self._lease_ms,
            force=True,
            attempt=attempt.number,
            patience_ms=attempt.patience_ms,
        )
        if taken is None:
            return None
        return Claimed(
            run=taken.run,
            key=taken.key,
            stored=await stored_chunks(self._store, taken),
            continued=await message_before(self._store, session_id, taken.run),
            stopped_by=taken.stopped_by,
        )

    async def _check_same(self, request: StartRequest, agent: str, info: RunInfo) -> None:
        """Refuse a claim that asks something else than the run of its key answers.

        A question that was edited or deleted since is not compared.

        Raises:
            KeyReusedError.
        """
        last = request.messages[-1]
        is_same = agent == info.agent and request.side is info.side
        if is_same and request.side:
            prompt = await side_prompt_hash(self._store, request.session_id, last.id, info.id)
            is_same = prompt in (None, message_of(request)[1])
        elif last.role == "assistant":
            is_same &= last.id == info.message_id
        elif last.id != info.user_message_id:
            is_same = False
        elif is_same:
            state = await self._store.load(request.session_id, leaf=info.user_message_id)
            asked = state.path[-1] if state is not None and state.path else None
            if asked is not None and asked.run_id == info.id:
                is_same = asked.content_hash == message_of(request)[1]
        if not is_same:
            raise KeyReusedError(
                "unable to claim this run; its key belongs to another question. Give each job a "
                "key of its own",
                runId=info.id,
            )

    async def _is_ours(self, request: StartRequest, info: RunInfo) -> bool:
        """Whether the key is the run's; a run that answers the same message may have another."""
        key = request.request_key or ""
        return await self._store.run_of_request(request.session_id, key) == info.id


def _opened(run: RunInfo, new: NewRun) -> Claimed:
    """Return a run that the claim has opened."""
    return Claimed(
        run=run,
        key=new.key,
        continued=new.plan.continued,
        plan=new.plan,
        stopped_by=run.stopped_by,
    )
