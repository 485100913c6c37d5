"""Runs whose chunks come from calls that pass through this process: opened, held, handed on.

A run is one call, or, under a key of its caller, several. It is held here
between them; a call of it that arrives in another process claims it there.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Raw
from msgspec.structs import replace

from midstream.agents.base import AgentRequest
from midstream.errors import (
    ConflictError,
    InvalidRequestError,
    RunActiveError,
    RunStoppedError,
    StoreUnavailableError,
)
from midstream.ids import RunId, SessionId, new_id, part_id
from midstream.sessions.access import check_agent, check_write
from midstream.sessions.proxied.call import ProxiedCall
from midstream.sessions.proxied.call_requests import continuation, submission
from midstream.sessions.proxied.run import ProxiedLimits, ProxiedRun
from midstream.sessions.runs.idle import is_at_rest
from midstream.sessions.sentences import PARALLEL, STOPPED
from midstream.store.records import RunOutcome, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.opening.claims import Claimed, Claims
    from midstream.sessions.runs.registry import Runs
    from midstream.sessions.types import CallRequest, RunHold, StartRequest
    from midstream.store.calls import RunKey
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState

ACTIVE_GRACE_S: Final = 1.0
"""Longest wait of a call for a run that is about to end: a backend makes its next call as soon as
it has the last byte of the one before, a moment before that one's terminal is written."""

AT_REST_LIMIT_S: Final = 1.0
"""Longest wait of a call for the end of the one before it to be in the log, before it looks whether
the process of that one is alive."""

MAX_CONTINUATIONS: Final = 20
"""Runs of one key: one more after each idle end."""


_CONTINUED: Final = (RunOutcome.FINISHED, RunOutcome.INTERRUPTED)
"""Outcomes after which another run of the same key may continue."""


class ProxiedRuns:
    """Proxied runs of this process."""

    def __init__(
        self,
        store: SessionStore,
        hub: Hub,
        runs: Runs,
        claims: Claims,
        draining: Draining,
        lease_ms: int,
        limits: ProxiedLimits,
    ) -> None:
        self._store = store
        self._hub = hub
        self._runs = runs
        self._lease_ms = lease_ms
        self._claims = claims
        self._draining = draining
        self._limits = limits
        self._held: dict[tuple[SessionId, str], tuple[ProxiedRun, Caller]] = {}

    @asynccontextmanager
    async def call(
        self, caller: Caller, call: CallRequest, hold: RunHold | None = None
    ) -> AsyncIterator[ProxiedCall]:
        """Begin a call; one that the block leaves unended counts as left by its caller.

        Args:
            hold: kept while the run that the call begins here is open.

        Raises:
            RunActiveError: another run of the session, or call of the run, is under way.
            RunStoppedError: a person has stopped the run.
            ConflictError: the run has ended.
            SessionNotFoundError, ForbiddenError, MessageNotFoundError, InvalidRequestError,
            DrainingError, StoreUnavailableError.
        """
        self._draining.check()
        check_agent(caller, call.agent)
        async with self._hub.attach(call.session_id) as feed:
            step = await self.held_call(caller, call)
            if step is None:
                step = await self.claim_call(caller, call, feed, hold)
            try:
                yield step
            finally:
                step.leave()

    def end_idle(self) -> None:
        """End the runs that wait for a call: this process shuts down."""
        for proxied, _ in list(self._held.values()):
            proxied.end_idle()

    async def held_call(self, caller: Caller, call: CallRequest) -> ProxiedCall | None:
        """Begin a call of a run that is held here; None if it is not. See `call`."""
        if call.run_key is None:
            return None
        place = call.session_id, call.run_key
        proxied, owner = self._held.get(place, (None, None))
        if proxied is None:
            return None
        if caller != owner:
            meta = await self._store.load_meta(call.session_id)
            if meta is None:
                return None
            check_write(caller, meta)
            check_agent(caller, proxied.name)
        if await self._is_ours(proxied):
            return ProxiedCall.begin(proxied, call.results, ends=call.ends)
        return None

    async def _is_ours(self, proxied: ProxiedRun) -> bool:
        """Whether a run that is held here is still ours: no other process has taken it over."""
        producer = proxied.producer
        if producer is None or proxied.over:
            return proxied.stopped
        (lease,) = await self._store.renew([producer.key], self._lease_ms)
        producer.renewed(lease)
        return proxied.stopped or not proxied.over

    async def claim_call(
        self, caller: Caller, call: CallRequest, feed: Feed, hold: RunHold | None = None
    ) -> ProxiedCall:
        """Begin a call of a new run, or of one that another process holds. See `call`."""
        key = call.run_key or new_id("call")
        for number in range(1, MAX_CONTINUATIONS + 1):
            this_key = key if number == 1 else f"{key}~{number}"
            wanted = await self._request(caller, call, this_key, feed, is_first=number == 1)
            if wanted is None:
                break
            claimed = await self._claim(caller, call, *wanted, feed)
            if claimed.key is not None:
                return await self._produce(caller, call, claimed, feed, hold)
            if claimed.run.outcome is RunOutcome.STOPPED:
                raise RunStoppedError(STOPPED, runId=claimed.run.id)
            if not call.goes_on or claimed.run.outcome not in _CONTINUED:
                break
        raise ConflictError("unable to continue this run; it has ended. Begin another")

    async def _claim(
        self, caller: Caller, call: CallRequest, request: StartRequest, known: bool, feed: Feed
    ) -> Claimed:
        """Claim, and once more if the run in the way was about to end.

        A run that was not known a moment ago belongs to a call that was made at once.
        """
        agent = call.agent
        try:
            return await self._claims.claim(caller, request, agent, feed, takes_over=known)
        except RunActiveError as error:
            if not await self._ends_soon(feed, str(error.details.get("runId", ""))):
                raise
            return await self._claims.claim(caller, request, agent, feed, takes_over=known)

    async def _ends_soon(self, feed: Feed, run_id: str) -> bool:
        view = feed.runs.get(RunId(run_id)) or await feed.view_of(RunId(run_id))
        return await view.until_ended(ACTIVE_GRACE_S)

    async def _request(
        self, caller: Caller, call: CallRequest, key: str, feed: Feed, *, is_first: bool
    ) -> tuple[StartRequest, bool] | None:
        """Return what to open for a call that no run is held for, and whether it is there.

        None for a later run of a key in which nothing waits for this call: the run has ended.
        """
        known = call.run_key and await self._store.run_of_request(call.session_id, key)
        if known:
            view = await feed.view_of(known)
            if (live := view.live) is not None and not live.fenced_off:
                # It is ending here, or a simultaneous call was quicker.
                if not await view.until_ended(ACTIVE_GRACE_S):
                    raise RunActiveError(PARALLEL, runId=known)
            else:
                await self._until_free(view, call)
        state = await self._state(caller, call, feed, wait=not known)
        if not known and call.goes_on and state is not None:
            # Else it continues what this session has never seen: its user's message begins a run.
            request = continuation(call.session_id, key, state, call.results)
            if request is not None:
                return replace(request, proxied=True), False
        if not (known or is_first):
            return None
        if call.said is None and not known:
            raise InvalidRequestError(
                "unable to show this call in a session; it has no message of a user"
            )
        named = call.run_key or call.digest
        digest = hashlib.sha256(f"{call.session_id}\n{named}".encode()).hexdigest()
        request = submission(
            call.session_id,
            key,
            state,
            said=call.said or (Raw(b'{"type":"text","text":""}'),),
            message_id=call.message_id,
            own_id=f"msg_{digest[:24]}",
            again=call.tried > 0,
        )
        return replace(request, proxied=True), bool(known)

    async def _until_free(self, view: RunView, call: CallRequest) -> None:
        """Wait until no call of a run that another process holds is under way.

        Raises:
            RunActiveError: one is. A process that has died is known as dead after a lease; to
                an SDK's retry at once, whose earlier try is over.
        """
        attempts = 1 if call.tried else round(self._lease_ms * 1.5 / 1000 / AT_REST_LIMIT_S) + 1
        for _ in range(attempts):
            try:
                async with asyncio.timeout(AT_REST_LIMIT_S):
                    while not (view.ended or await is_at_rest(view)):
                        await view.pulse.wait()
                return
            except TimeoutError:
                state = await self._store.load(call.session_id)
                if state is None or state.run_expired:
                    return
        if not call.tried:
            raise RunActiveError(PARALLEL, runId=view.info.id)

    async def _state(
        self, caller: Caller, call: CallRequest, feed: Feed, *, wait: bool
    ) -> SessionState | None:
        """Load the session; with `wait`, after the run that is about to end."""
        state = await self._store.load(call.session_id)
        if state is None:
            return None
        check_write(caller, state.meta)
        run = state.run
        if not wait or run is None or run.state is RunState.ENDED or state.run_expired:
            return state
        if not await self._ends_soon(feed, run.id):
            return state
        return await self._store.load(call.session_id)

    async def _produce(
        self,
        caller: Caller,
        call: CallRequest,
        claimed: Claimed,
        feed: Feed,
        hold: RunHold | None,
    ) -> ProxiedCall:
        run, key = claimed.run, claimed.key
        assert key is not None  # noqa: S101 - callers have checked
        proxied = ProxiedRun(
            call.agent,
            stored=claimed.stored,
            continued=claimed.continued,
            may_continue=call.run_key is not None,
            limits=self._limits,
            on_end=lambda ended: self._forget(call, ended),
            is_taken=lambda: self._is_taken(key),
        )
        proxied.producer = self._runs.produce(
            await feed.view_of(run.id),
            key,
            agent=proxied,
            request=AgentRequest(
                session_id=call.session_id,
                run_id=run.id,
                message_id=run.message_id,
                user=caller.user,
                tenant=caller.tenant,
                history=() if claimed.plan is None else claimed.plan.history,
                model=None,
                body=Raw(b"{}"),
                new_id=part_id,
            ),
            continued=claimed.continued,
            stored=claimed.stored,
            stopped_by=claimed.stopped_by,
            hold=hold,
        )
        step = ProxiedCall.begin(proxied, call.results, ends=call.ends)
        if call.run_key is not None:
            self._held[call.session_id, call.run_key] = proxied, caller
        return step

    async def _is_taken(self, key: RunKey) -> bool:
        """Whether a run that we wrote is another process's, and was not closed as one of a dead.

        False if that cannot be known: its call continues without the session.
        """
        try:
            found = await self._store.load_run(key.session_id, key.run_id)
        except StoreUnavailableError:
            return False
        return found is not None and found.run.outcome is not RunOutcome.INTERRUPTED

    def _forget(self, call: CallRequest, proxied: ProxiedRun) -> None:
        place = call.session_id, call.run_key or ""
        held = self._held.get(place)
        if held is not None and held[0] is proxied:
            del self._held[place]
