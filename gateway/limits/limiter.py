"""Takes of callers' limits what a request needs, and holds what is open for as long as it is."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from midstream.errors import RateLimitedError, StoreUnavailableError
from midstream.limits.allowance import Allowance, share
from midstream.limits.asking import Asking
from midstream.limits.holds import LEASE_MS, Hold, Holds
from midstream.limits.policy import SENTENCES, WHEN_UNKNOWN, Policy
from midstream.sessions.containment import keep_running
from midstream.store.limits import Take
from midstream.telemetry import LIMITS_UNCHECKED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.ids import SessionId
    from midstream.limits.policy import Quota, Scope
    from midstream.sessions.access import Caller
    from midstream.store.limits import Held, LimitCounts

logger = logging.getLogger(__name__)

RESET_OPEN_MS: Final = 5_000
"""When to try again where nobody knows when something ends."""


class Grant:
    """What a request may do: its run and its stream.

    Attributes:
        run: held while its run is open, by whoever opens it.
        stream: held while its response, feed or socket is open.
    """

    def __init__(self, run: Hold, stream: Hold) -> None:
        self.run = run
        self.stream = stream


class Limiter:
    """Decides about requests.

    Args:
        counts: None where nothing is limited.
        strict: refuse while Redis cannot be asked.
    """

    def __init__(
        self,
        counts: LimitCounts | None = None,
        policy: Policy | None = None,
        *,
        strict: bool = False,
        allowance: Allowance | None = None,
    ) -> None:
        self._asking = None if counts is None else Asking(counts, LEASE_MS)
        self._policy = policy or Policy()
        self._strict = strict
        self._allowance = allowance or Allowance()
        self._holds = Holds(counts)

    async def run(self) -> None:
        """Ask Redis, and hold what is open, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._holds.run(), name="limits held")
            if self._asking is not None:
                tasks.create_task(self._asking.run(), name="limits asked")

    @asynccontextmanager
    async def sending(
        self,
        caller: Caller,
        session_id: SessionId,
        key: str | None,
        *,
        streams: bool,
        run_key: str | None = None,
    ) -> AsyncIterator[Grant]:
        """Take a send, a place for its run, and one for its stream.

        What the block does not `keep` is given back at its end.

        Args:
            key: the send's own, by which it is known when it is repeated; None: it has none.
            streams: whether it is answered with a stream that nothing else holds.
            run_key: of the run that it is a part of, if several sends make one.

        Raises:
            RateLimitedError: a limit is reached; nothing was taken.
            StoreUnavailableError: Redis cannot be asked, and `strict`.
        """
        send = secrets.token_hex(8) if key is None else _digest(session_id, key)
        run = send if run_key is None else _digest(session_id, run_key)
        stream = secrets.token_hex(8) if streams else ""
        async with self._taking(caller, stream, send, run) as grant:
            yield grant

    @asynccontextmanager
    async def reading(self, caller: Caller) -> AsyncIterator[Grant]:
        """Take a place for a stream; see `sending`."""
        async with self._taking(caller, secrets.token_hex(8)) as grant:
            yield grant

    @asynccontextmanager
    async def _taking(
        self, caller: Caller, stream: str, send: str = "", run: str = ""
    ) -> AsyncIterator[Grant]:
        scopes = self._policy.scopes(caller)
        seen = bool(scopes) and await self._take(scopes, stream, send, run)
        names = [scope.name for scope in scopes]
        grant = Grant(
            Hold(self._holds, "runs", run, names if send else ()),
            Hold(self._holds, "streams", stream, names if stream else ()),
        )
        if not seen:
            # A repeated send's place is with whoever has its run; `keep` takes it if nobody has.
            grant.run.take()
        grant.stream.take()
        try:
            yield grant
        finally:
            for hold in (grant.run, grant.stream):
                if not hold.kept:
                    hold.release()

    async def _take(self, scopes: Sequence[Scope], stream: str, send: str, run: str) -> bool:
        """Take of all scopes, or of none; return whether the send was there before."""
        wanted = [_take(scope, stream, send, run) for scope in scopes]
        answers = None if self._asking is None else await self._asking.ask(wanted)
        if answers is None:
            LIMITS_UNCHECKED.inc()
            if self._strict:
                raise StoreUnavailableError(
                    "unable to check the limits at the moment; try again soon"
                )
            for scope in scopes:
                self._allow(scope, bool(send), bool(stream))
            return False
        for scope, taken in zip(scopes, answers, strict=True):
            if taken.reached:
                raise _refusal(scope.quota, taken.reached, taken.reset_ms)
        return any(taken.seen for taken in answers)

    def _allow(self, scope: Scope, send: bool, stream: bool) -> None:
        """Allow this process's share of a scope's limits.

        Raises:
            RateLimitedError: it is used up.
        """
        quota, gateways = scope.quota, self._holds.gateways
        open_now: tuple[tuple[bool, Held, str, int], ...] = (
            (send, "runs", "open_runs", quota.open_runs),
            (stream, "streams", "open_streams", quota.open_streams),
        )
        for wanted, kind, name, limit in open_now:
            if wanted and limit and self._holds.count(scope.name, kind) >= share(limit, gateways):
                raise _refusal(quota, name, 0)
        if send and quota.sends_per_minute:
            wait_s = self._allowance.take_send(
                scope.name, quota.sends_per_minute, quota.burst, gateways
            )
            if wait_s:
                raise _refusal(quota, "sends_per_minute", int(wait_s * 1000) + 1)


@asynccontextmanager
async def open_limiter(
    counts: LimitCounts, policy: Policy, *, strict: bool
) -> AsyncIterator[Limiter]:
    """Run this process's limiter; says once what is not limited."""
    logger.info("limits unlimited: %s", policy.unlimited or "nothing")
    limiter = Limiter(counts, policy, strict=strict)
    task = asyncio.create_task(keep_running("limits", limiter.run), name="limits")
    try:
        yield limiter
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _take(scope: Scope, stream: str, send: str, run: str) -> Take:
    quota = scope.quota
    between_us = 60_000_000 // quota.sends_per_minute if quota.sends_per_minute else 0
    return Take(
        scope=scope.name,
        send=send,
        stream=stream,
        run=run,
        between_us=between_us,
        burst_us=between_us * quota.burst,
        open_runs=quota.open_runs,
        open_streams=quota.open_streams,
    )


def _refusal(quota: Quota, limit: str, reset_ms: int) -> RateLimitedError:
    known_ms = reset_ms or RESET_OPEN_MS
    seconds = -(-known_ms // 1000)
    in_time = f"try again in {seconds} {'second' if seconds == 1 else 'seconds'}"
    said = SENTENCES[limit].format(count=getattr(quota, limit))
    return RateLimitedError(
        f"unable to take this now; {said}: {WHEN_UNKNOWN.get(limit, in_time)}",
        limit=limit,
        reset_ms=known_ms,
    )


def _digest(session_id: SessionId, key: str) -> str:
    return hashlib.sha256(f"{session_id}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
