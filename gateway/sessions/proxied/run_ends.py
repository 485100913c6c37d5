"""End of a proxied run, by a request of its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from midstream.errors import (
    AgentError,
    ConflictError,
    RunActiveError,
    RunNotFoundError,
    RunStoppedError,
    StoreUnavailableError,
)
from midstream.sessions.access import check_agent, check_write, not_found
from midstream.sessions.proxied.runs import MAX_CONTINUATIONS
from midstream.sessions.types import CallRequest

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.proxied.runs import ProxiedRuns
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo

END_WAIT_S: Final = 15.0
"""Longest wait of the request for the terminal."""


class ProxiedRunEnds:
    """Ends proxied runs that wait for a call, in whichever process they are."""

    def __init__(
        self, store: SessionStore, hub: Hub, draining: Draining, runs: ProxiedRuns
    ) -> None:
        self._store = store
        self._hub = hub
        self._draining = draining
        self._runs = runs

    async def end(
        self, caller: Caller, session_id: SessionId, run_key: str, failed: str | None
    ) -> RunInfo:
        """End a run; return it, ended. One that has ended before is left as it is.

        Args:
            failed: the sentence that people read, if it has failed.

        Raises:
            RunActiveError: a call of it is under way.
            RunNotFoundError: the session has no such run.
            SessionNotFoundError, ForbiddenError, DrainingError, StoreUnavailableError.
        """
        self._draining.check()
        async with self._hub.attach(session_id) as feed:
            meta = await self._store.load_meta(session_id)
            if meta is None:
                raise not_found()
            check_write(caller, meta)
            key, run_id = await self._newest(session_id, run_key)
            view = await feed.view_of(run_id)
            if not view.info.proxied:
                raise _no_such_run()
            check_agent(caller, view.info.agent)
            if not view.ended:
                call = _no_call(session_id, run_key, view.info.agent)
                await self._end_open(caller, call, key, failed, feed)
            if not await view.until_ended(END_WAIT_S):
                raise StoreUnavailableError("unable to end this run now; try again")
            return view.info

    async def _end_open(
        self, caller: Caller, call: CallRequest, key: str, failed: str | None, feed: Feed
    ) -> None:
        try:
            step = await self._runs.held_call(caller, call)
            if step is None:
                step = await self._runs.claim_call(caller, replace(call, run_key=key), feed)
        except (RunStoppedError, ConflictError):
            return  # it has ended meanwhile
        except RunActiveError as error:
            raise RunActiveError(
                "unable to end this run while a call of it is under way; send x-midstream-end "
                "with that call, or wait for it",
                **error.details,
            ) from None
        step.end_run(None if failed is None else AgentError(failed))

    async def _newest(self, session_id: SessionId, run_key: str) -> tuple[str, RunId]:
        """Return the key and id of the newest run of a key: an idle end begins another."""
        newest: tuple[str, RunId] | None = None
        for number in range(1, MAX_CONTINUATIONS + 1):
            key = run_key if number == 1 else f"{run_key}~{number}"
            run_id = await self._store.run_of_request(session_id, key)
            if run_id is None:
                break
            newest = key, run_id
        if newest is None:
            raise _no_such_run()
        return newest


def _no_call(session_id: SessionId, run_key: str, agent: str) -> CallRequest:
    return CallRequest(
        session_id=session_id,
        run_key=run_key,
        message_id=None,
        agent=agent,
        said=None,
        results=(),
        goes_on=False,
        digest="",
    )


def _no_such_run() -> RunNotFoundError:
    return RunNotFoundError("unable to find this run; the session has no proxied one of this key")
