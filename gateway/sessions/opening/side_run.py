"""Opening of a run beside the main one, asked by a prompt of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.authors import with_author
from midstream.errors import (
    ConflictError,
    InvalidRequestError,
    ParentEndedError,
    RunActiveError,
    SideRunsFullError,
)
from midstream.ids import MessageId, new_id, new_side_run_id
from midstream.sessions.access import check_write, not_found
from midstream.sessions.log.stored_run import model_history
from midstream.sessions.opening.open_run import Admitted, open_surely
from midstream.sessions.opening.plan import message_of
from midstream.sessions.sentences import run_not_found
from midstream.sessions.types import NewRun, Plan
from midstream.store.calls import NewMessage, OpenRun, OpenStatus, RunKey
from midstream.store.format import upgrade_needed
from midstream.store.records import RunInfo, RunState, Trigger

if TYPE_CHECKING:
    from midstream.authors import Author
    from midstream.ids import RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.types import Attempt, SessionLimits, StartRequest
    from midstream.store.calls import Opened
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionMeta

OPEN_ATTEMPTS: Final = 5
"""Attempts of one opening: the session may have begun anew in between."""

MAX_SIDE_RUNS: Final = 8

_ENDED: Final = (
    "unable to open a side run; the run that it works for has ended, or is being stopped"
)


class SideOpening:
    """Opens side runs. None of them waits for a run, and no send waits for one of them."""

    def __init__(self, store: SessionStore, limits: SessionLimits) -> None:
        self._store = store
        self._limits = limits

    async def open(
        self,
        caller: Caller,
        request: StartRequest,
        agent: str,
        feed: Feed,
        *,
        attempt: Attempt | None = None,
    ) -> Admitted:
        """Open the request's side run, or find the one that it has already.

        Args:
            agent: the name of who will write it.
            attempt: of the job that claims the run.

        Raises:
            ParentEndedError: there is no run that it could work for (any more).
            SideRunsFullError: as many are under way as may be.
            RunNotFoundError: the session does not have the parent that the request names.
            ConflictError: the id of the prompt is that of another message.
            SessionNotFoundError, ForbiddenError, InvalidRequestError, StoreUnavailableError,
            UpgradeNeededError.
        """
        run_id = new_side_run_id()
        for _ in range(OPEN_ATTEMPTS):
            meta = await self._store.load_meta(request.session_id)
            if meta is None:
                raise not_found()
            check_write(caller, meta)
            if (known := await self._known(request)) is not None:
                return Admitted(await feed.view_of(known))
            if meta.is_newer:
                raise upgrade_needed(request.session_id)
            parent = await self._parent(request, meta)
            plan = await self._plan(request, parent, caller.known_in(meta.tenant))
            info = _run_info(run_id, parent, request, agent, pushed=attempt is not None)
            wanted = self._wanted(request, meta, info, plan, attempt)
            opened = await open_surely(self._store, wanted)
            if (admitted := await _admitted(opened, info, request, plan, feed)) is not None:
                return admitted
        raise RunActiveError("unable to open a side run; the session keeps changing. Try again")

    async def _known(self, request: StartRequest) -> RunId | None:
        if request.request_key is None:
            return None
        return await self._store.run_of_request(request.session_id, request.request_key)

    async def _parent(self, request: StartRequest, meta: SessionMeta) -> RunInfo:
        """Return the run that the side run works for: the named one, or the main run."""
        wanted = request.parent_run_id or meta.active_run_id
        if wanted is None:
            raise ParentEndedError(_ENDED)
        found = await self._store.load_run(request.session_id, wanted)
        if found is None:
            raise run_not_found()
        return found.run

    async def _plan(self, request: StartRequest, parent: RunInfo, author: Author | None) -> Plan:
        """Decide what the side run answers: its prompt, behind the conversation so far."""
        if request.messages[-1].role != "user":
            raise InvalidRequestError("unable to open a side run; its message must be a user's")
        bare, content_hash = message_of(request)
        prompt = with_author(bare, author)
        state = await self._store.load(request.session_id, leaf=parent.user_message_id)
        return Plan(
            user_message_id=parent.user_message_id,
            user_message=NewMessage(
                id=MessageId(prompt.id),
                parent_id=parent.user_message_id,
                content_hash=content_hash,
                message=prompt.raw,
            ),
            continued=None,
            replaced_message=None,
            content_hash=content_hash,
            history=(*(() if state is None else model_history(state.path)), prompt),
        )

    def _wanted(
        self,
        request: StartRequest,
        meta: SessionMeta,
        info: RunInfo,
        plan: Plan,
        attempt: Attempt | None,
    ) -> OpenRun:
        return OpenRun(
            session_id=request.session_id,
            expected_owner=meta.owner,
            expected_tenant=meta.tenant,
            run=info,
            user_message=plan.user_message,
            replaced_message=None,
            content_hash=plan.content_hash,
            new_epoch="",
            title="",
            request_key=request.request_key,
            lease_ms=self._limits.lease_ms,
            attempt=None if attempt is None else attempt.number,
            patience_ms=None if attempt is None else attempt.patience_ms,
        )


async def _admitted(
    opened: Opened, info: RunInfo, request: StartRequest, plan: Plan, feed: Feed
) -> Admitted | None:
    """Return the run that was opened, or was there; None: decide again.

    Raises:
        ParentEndedError, SideRunsFullError, ConflictError.
    """
    run = opened.run
    if run is not None and run.id == info.id:
        key = RunKey(session_id=request.session_id, run_id=run.id, fence=opened.fence)
        new = NewRun(key=key, plan=plan, is_stopped=opened.stop_requested)
        return Admitted(feed.adopt(run, opened.opened), new)
    match opened.status:
        case OpenStatus.KNOWN | OpenStatus.ORPHAN if run is not None:
            return Admitted(await feed.view_of(run.id))
        case OpenStatus.PARENT_ENDED:
            raise ParentEndedError(_ENDED)
        case OpenStatus.FULL:
            raise SideRunsFullError(
                f"unable to open a side run; the session has {MAX_SIDE_RUNS} of them under way. "
                "Wait until one has ended, or stop one"
            )
        case OpenStatus.MESSAGE_KNOWN:
            raise ConflictError(
                "unable to open a side run; the session has another message with the id of its "
                "prompt. Give each prompt an id of its own"
            )
        case _:
            return None


def _run_info(
    run_id: RunId, parent: RunInfo, request: StartRequest, agent: str, *, pushed: bool
) -> RunInfo:
    return RunInfo(
        id=run_id,
        state=RunState.OPEN,
        message_id=MessageId(new_id("msg")),
        user_message_id=parent.user_message_id,
        trigger=Trigger.SUBMIT,
        agent=agent,
        pushed=pushed,
        side=True,
        parent_run_id=parent.id,
    )


async def side_prompt_hash(
    store: SessionStore, session_id: SessionId, prompt: str, run_id: RunId
) -> str | None:
    """Return the hash of a side run's prompt.

    Returns:
        None: there is no such message (any more); empty: it is no prompt of that run.
    """
    state = await store.load(session_id, leaf=MessageId(prompt))
    stored = state.path[-1] if state is not None and state.path else None
    if stored is None:
        return None if state is not None and prompt in state.deleted else ""
    return stored.content_hash if stored.side and stored.run_id == run_id else ""
