"""Claims: runs that belong to the last attempt that claimed them by their key.

A worker that crashes is started again and knows its work by a key, not by our ids. The first
claim opens the run; a later one takes it over from its producer, alive or not: the fence
rises, and what the older one still sends is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.errors import InvalidRequestError, RunActiveError
from midstream.protocol.chunks import AnyChunk
from midstream.protocol.messages import UIMessage
from midstream.sessions.access import check_agent
from midstream.sessions.log.stored_run import message_before, stored_chunks
from midstream.sessions.sentences import run_active
from midstream.sessions.types import Plan
from midstream.store.calls import RunKey
from midstream.store.records import RunInfo, RunState

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.opening.open_run import Opening
    from midstream.sessions.types import StartRequest
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

    def __init__(self, store: SessionStore, opening: Opening, lease_ms: int) -> None:
        self._store = store
        self._opening = opening
        self._lease_ms = lease_ms

    async def claim(
        self,
        caller: Caller,
        request: StartRequest,
        agent: str,
        feed: Feed,
        *,
        takes_over: bool = True,
    ) -> Claimed:
        """Open the request's run, or take it over.

        Args:
            request: with a `request_key`, which is the run's.
            agent: the name of who will write it.
            feed: of the request's session.
            takes_over: also a run that is under way.

        Raises:
            RunActiveError: another run is under way, or this one is, and not taken over.
            ForbiddenError: the caller may not write as this agent, or as the run's.
            InvalidRequestError, ConflictError, MessageNotFoundError, SessionNotFoundError,
            StoreUnavailableError: see `Opening.open`.
        """
        if request.request_key is None:
            raise InvalidRequestError("unable to claim a run; it needs a key")
        check_agent(caller, agent)
        for _ in range(CLAIM_ATTEMPTS):
            admitted = await self._opening.open(caller, request, agent, feed)
            if admitted.new is not None:
                run, plan = admitted.view.info, admitted.new.plan
                return Claimed(
                    run=run,
                    key=admitted.new.key,
                    continued=plan.continued,
                    plan=plan,
                    stopped_by=run.stopped_by,
                )
            info = admitted.view.info
            check_agent(caller, info.agent)
            if info.state is RunState.ENDED:
                return Claimed(run=info, key=None)
            await self._check_ours(request, info)
            if not takes_over:
                raise run_active(info)
            taken = await self._take_over(request.session_id, info.id)
            if taken is not None:
                return taken
            await feed.load()
        raise RunActiveError("unable to claim this run; others keep claiming it. Try again")

    async def _take_over(self, session_id: SessionId, run_id: RunId) -> Claimed | None:
        """Take a run over, and read its chunks; None if it ended or was claimed meanwhile."""
        taken = await self._store.take_over(session_id, run_id, self._lease_ms, force=True)
        if taken is None:
            return None
        return Claimed(
            run=taken.run,
            key=taken.key,
            stored=await stored_chunks(self._store, taken),
            continued=await message_before(self._store, session_id, taken.run),
            stopped_by=taken.stopped_by,
        )

    async def _check_ours(self, request: StartRequest, info: RunInfo) -> None:
        """Refuse to take over a run that answers the same message, under another key.

        Raises:
            RunActiveError: it belongs to another key.
        """
        key = request.request_key or ""
        if await self._store.run_of_request(request.session_id, key) != info.id:
            raise run_active(info)
