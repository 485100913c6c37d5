"""Takes a request's tokens from its caller's limits, and holds those of open runs and streams."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.errors import RateLimitedError, StoreError, StoreUnavailableError
from midstream.limits.allowance import Allowance, share
from midstream.limits.asking import Asking
from midstream.limits.holds import LEASE_MS, Hold, Holds, Kept, Place
from midstream.limits.policy import Policy, said
from midstream.sessions.containment import keep_running
from midstream.store.redis.limits import Take
from midstream.telemetry import LIMITS_UNCHECKED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.ids import SessionId
    from midstream.limits.policy import Quota, Scope
    from midstream.sessions.access import Caller
    from midstream.sessions.types import RunCost, RunHold
    from midstream.store.redis.limits import Held, LimitCounts

logger = logging.getLogger(__name__)

RESET_OPEN_MS: Final = 5_000
"""Advised wait where the end of open runs or streams is unknown."""

FLUSH_S: Final = 1.0
"""Time limit for a process at its end to count its last runs."""


class Need(Struct, frozen=True):
    """The tokens that a request takes; empty for a thing that it does not begin.

    Attributes:
        run: of the send's run, which several sends may share.
        size, tokens: the run's estimated stored bytes and model tokens.
    """

    stream: str
    send: str = ""
    run: str = ""
    size: int = 0
    tokens: int = 0


class Grant:
    """The places of an admitted request.

    Attributes:
        run: held while its run is open, by the code that opens the run.
        stream: held while its response, feed or socket is open.
    """

    def __init__(self, run: Hold, stream: Hold) -> None:
        self.run = run
        self.stream = stream


class Limiter:
    """Admits requests or refuses them.

    Args:
        counts: None if nothing is limited.
        strict: refuse requests while Redis is away.
        wait_s: time that Redis has to answer a question.
    """

    def __init__(
        self,
        counts: LimitCounts | None = None,
        policy: Policy | None = None,
        *,
        strict: bool = False,
        wait_s: float = 0.05,
        allowance: Allowance | None = None,
    ) -> None:
        self._asking = None if counts is None else Asking(counts, LEASE_MS, wait_s=wait_s)
        self._counts = counts
        self._policy = policy or Policy()
        self._strict = strict
        self._allowance = allowance or Allowance()
        self._holds = Holds(counts)

    async def run(self) -> None:
        """Ask Redis, and renew holds, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._holds.run(), name="limits held")
            if self._asking is not None:
                tasks.create_task(self._asking.run(), name="limits asked")

    async def flush(self) -> None:
        """Count ended runs in Redis, within a time limit, before this process ends."""
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._holds.tell()
        except (StoreError, TimeoutError) as error:
            logger.info("limits_not_told reason=%r", error)

    def adopt(self, told: bytes) -> RunHold | None:
        """Take over another gateway's hold of a run that is resumed here; None if it had none.

        Args:
            told: see `Hold.told`.
        """
        try:
            return Hold(self._holds, msgspec.json.decode(told, type=Kept)) if told else None
        except msgspec.MsgspecError:
            return None  # a later version's: its places expire

    async def recount(self, session_id: SessionId) -> None:
        """Count a session's bytes anew after a deletion.

        If Redis is away, they are counted when the session's next run ends, or expire.
        """
        if self._counts is None or not self._policy.counts_bytes:
            return
        try:
            await self._counts.stored.count(session_id)
        except StoreError as error:
            logger.info("bytes_not_counted session=%s reason=%s", session_id, error)

    @asynccontextmanager
    async def sending(
        self,
        caller: Caller,
        session_id: SessionId,
        key: str | None,
        *,
        streams: bool,
        cost: RunCost,
        run_key: str | None = None,
    ) -> AsyncIterator[Grant]:
        """Take a send, a place for its run, and one for its stream.

        At its end the block gives back the places that it does not `keep`.

        Args:
            key: the send's key, by which a retry is recognized; None: it has none.
            streams: whether its response is a stream that holds no place yet.
            cost: the estimated bytes and tokens of its run, which count until the run has ended.
            run_key: the key of its run, if several sends share one.

        Raises:
            RateLimitedError: a limit is reached; nothing was taken.
            StoreUnavailableError: Redis is away, and `strict`.
        """
        send = secrets.token_hex(8) if key is None else _digest(session_id, key)
        run = send if run_key is None else _digest(session_id, run_key)
        stream = secrets.token_hex(8) if streams else ""
        need = Need(stream, send, run, cost.size_bytes, cost.tokens)
        async with self._taking(caller, need) as grant:
            yield grant

    @asynccontextmanager
    async def reading(self, caller: Caller) -> AsyncIterator[Grant]:
        """Take a place for a stream; see `sending`."""
        async with self._taking(caller, Need(secrets.token_hex(8))) as grant:
            yield grant

    @asynccontextmanager
    async def _taking(self, caller: Caller, need: Need) -> AsyncIterator[Grant]:
        scopes = self._policy.scopes(caller)
        seen = bool(scopes) and await self._take(scopes, need)
        grant = Grant(Hold(self._holds, _of_run(scopes, need)), self._of_stream(scopes, need))
        if not seen:
            # A retry's place belongs to the holder of its run; `keep` takes it if there is none.
            grant.run.take()
        grant.stream.take()
        try:
            yield grant
        finally:
            for hold in (grant.run, grant.stream):
                if not hold.kept:
                    hold.release()

    def _of_stream(self, scopes: Sequence[Scope], need: Need) -> Hold:
        names = tuple(scope.name for scope in scopes)
        places = (Place("streams", need.stream, names),) if need.stream and names else ()
        return Hold(self._holds, Kept(places))

    async def _take(self, scopes: Sequence[Scope], need: Need) -> bool:
        """Take in all scopes or in none; return whether the send is a retry."""
        wanted = [_take(scope, need) for scope in scopes]
        answers = None if self._asking is None else await self._asking.ask(wanted)
        if answers is None:
            LIMITS_UNCHECKED.inc()
            if self._strict:
                raise StoreUnavailableError(
                    "unable to check the limits at the moment; try again soon"
                )
            for scope in scopes:
                self._allow(scope, bool(need.send), bool(need.stream))
            return False
        for scope, taken in zip(scopes, answers, strict=True):
            if taken.reached:
                raise _refusal(scope.quota, taken.reached, taken.reset_ms)
        return any(taken.seen for taken in answers)

    def _allow(self, scope: Scope, send: bool, stream: bool) -> None:
        """Take from this process's share of a scope's limits.

        Raises:
            RateLimitedError: the share is used up.
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
    counts: LimitCounts, policy: Policy, *, strict: bool, wait_s: float
) -> AsyncIterator[Limiter]:
    """Run this process's limiter; log once which limits are not set."""
    logger.info("limits unlimited: %s", policy.unlimited or "nothing")
    limiter = Limiter(counts, policy, strict=strict, wait_s=wait_s)
    task = asyncio.create_task(keep_running("limits", limiter.run), name="limits")
    try:
        yield limiter
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await limiter.flush()


def _of_run(scopes: Sequence[Scope], need: Need) -> Kept:
    """Return the hold of a request's run, with the scopes in which it counts at its end."""
    if not need.send:
        return Kept()
    stored = tuple(scope.name for scope in scopes if scope.quota.stored_bytes)
    used = tuple(scope.name for scope in scopes if scope.quota.tokens_per_day)
    places = (
        Place("runs", need.run, tuple(scope.name for scope in scopes)),
        Place("bytes", _amount(need.run, need.size), stored),
        Place("tokens", _amount(need.run, need.tokens), used),
    )
    return Kept(tuple(place for place in places if place.scopes), stored, used)


def _take(scope: Scope, need: Need) -> Take:
    quota = scope.quota
    between_us = 60_000_000 // quota.sends_per_minute if quota.sends_per_minute else 0
    return Take(
        scope=scope.name,
        send=need.send,
        stream=need.stream,
        run=need.run,
        between_us=between_us,
        burst_us=between_us * quota.burst,
        open_runs=quota.open_runs,
        open_streams=quota.open_streams,
        size=_amount(need.run, need.size) if quota.stored_bytes else "",
        stored_bytes=quota.stored_bytes,
        tokens=_amount(need.run, need.tokens) if quota.tokens_per_day else "",
        tokens_per_day=quota.tokens_per_day,
    )


def _amount(run: str, amount: int) -> str:
    """Return a token with its amount; empty without a run."""
    return f"{run} {amount}" if run else ""


def _refusal(quota: Quota, limit: str, reset_ms: int) -> RateLimitedError:
    return RateLimitedError(
        said(limit, quota, reset_ms), limit=limit, reset_ms=reset_ms or RESET_OPEN_MS
    )


def _digest(session_id: SessionId, key: str) -> str:
    return hashlib.sha256(f"{session_id}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
