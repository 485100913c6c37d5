"""Pushed runs: a worker outside writes their chunks.

    claim    opens the run, or takes it over from an earlier attempt by the run's own key
    append   chunks, checked one by one; idempotent by (run, fence, sequence)
    renew    keeps the lease, and brings a stop, or a person's message, the moment it is recorded
    end      the terminal, as every producer writes it

Any process may get any request of a run. What this one keeps of it (`run_cache.py`) is a
cache: the store's scripts decide, and what they do not confirm is read from the log again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from midstream.authors import start_of
from midstream.errors import (
    FencedError,
    IllegalChunkPushedError,
    RunEndedError,
    SequenceGapError,
    StoreUnavailableError,
)
from midstream.ids import MessageId
from midstream.protocol.codec import decode
from midstream.protocol.errors import IllegalChunkError, MalformedFrameError
from midstream.protocol.foreign import foreign_form
from midstream.protocol.refused_keys import encode_readable
from midstream.protocol.vocabulary import level_of_chunks
from midstream.sessions.access import check_write, not_found
from midstream.sessions.log.stored_run import run_history, stored_message
from midstream.sessions.pushed.feed_cache import FeedCache
from midstream.sessions.pushed.run_cache import CachedRun, RunCache
from midstream.sessions.pushed.steering import PushedSteers, SteerWatch
from midstream.sessions.runs.terminal import ENVELOPE, close_request, write_terminal
from midstream.sessions.sentences import INTERNAL_SENTENCE, run_ended, run_not_found
from midstream.sessions.types import (
    NO_ATTEMPT,
    Pushed,
    PushedEnd,
    PushedRun,
    PushLimits,
    Renewal,
)
from midstream.store.calls import AppendBatch, Appended, AppendStatus, RunKey
from midstream.store.format import upgrade_needed
from midstream.store.records import ChunksRecord, RunOutcome, RunState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from msgspec import Raw

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.protocol.writer import ChunkWriter
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.opening.claims import Claims
    from midstream.sessions.types import Attempt, StartRequest
    from midstream.store.calls import Renewed
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo, SessionState

logger = logging.getLogger(__name__)


class PushedRuns:
    """Writes runs for workers outside. See the module; `run` is its task."""

    def __init__(
        self, store: SessionStore, hub: Hub, claims: Claims, draining: Draining, limits: PushLimits
    ) -> None:
        self.limits = limits
        self._store = store
        self._feeds = FeedCache(hub, limits.lease_ms / 1000)
        self._claims = claims
        self._draining = draining
        self._cache = RunCache(store)
        self._steers = PushedSteers(store)

    async def run(self) -> None:
        """Let go of unused feeds until cancelled."""
        await self._feeds.run()

    # -- claim ---------------------------------------------------------------------------------

    async def claim(
        self, caller: Caller, request: StartRequest, agent: str, attempt: Attempt = NO_ATTEMPT
    ) -> PushedRun:
        """Open the request's run, or take it over from its present writer.

        Args:
            request: its `request_key` is the run's; see `Claims.claim` for its errors.
            agent: the name that clients see.

        Raises:
            FencedError: another attempt claimed it in between, or a later one before.
            DrainingError.
        """
        self._draining.check()
        attempt = replace(attempt, patience_ms=self._bounded(attempt.patience_ms))
        session_id = request.session_id
        async with self._feeds.hold(session_id) as feed:
            claimed = await self._claims.claim(caller, request, agent, feed, attempt=attempt)
        if claimed.key is None:
            written = await stored_message(self._store, session_id, claimed.run.message_id)
            return PushedRun(run=claimed.run, fence=0, written=written)
        key, run = claimed.key, claimed.run
        logger.info(
            "%s run=%s session=%s agent=%s fence=%d stored=%d",
            "run_claimed" if claimed.plan is None else "run_opened",
            *(run.id, session_id, run.agent, key.fence, len(claimed.stored)),
        )
        state = await self._state(caller, request, run)
        if not run.side:
            await self._steers.begin(key, claimed.stored, state.meta.steers, reads=attempt.reads)
        cached = CachedRun(state.meta, key, run, claimed.stored, claimed.continued)
        stored, stopped_by = list(claimed.stored), claimed.stopped_by
        if not stored:
            start = start_of(run.message_id, run.agent)
            cached.writer.write(start)
            stopped_by = (await self._commit(cached, [start])).stopped_by or stopped_by
            stored = [start]
        if not cached.spoiled:
            self._cache.keep(cached)
        return PushedRun(
            run=run,
            fence=key.fence,
            next=len(stored),
            stored=stored,
            continued=claimed.continued,
            messages=_foreign(run_history(state.path, run.message_id, claimed.continued)),
            stopped_by=stopped_by,
        )

    async def _state(self, caller: Caller, request: StartRequest, run: RunInfo) -> SessionState:
        """Return the session with the path to what a run answers: a side run answers its prompt."""
        prompt = MessageId(request.messages[-1].id) if run.side else None
        state = await self._store.load(request.session_id, leaf=prompt)
        if state is None:
            raise not_found()
        check_write(caller, state.meta)  # it may have been erased, and begun by another
        return state

    def _bounded(self, patience_ms: int | None) -> int | None:
        return None if patience_ms is None else min(patience_ms, self.limits.max_lease_ms)

    # -- append --------------------------------------------------------------------------------

    async def append(
        self, caller: Caller, key: RunKey, first: int, lines: Sequence[bytes]
    ) -> Pushed:
        """Store chunks, each as it is.

        Args:
            first: the sequence of the first of them.
            lines: a chunk's JSON each; 1..MAX_CHUNKS.

        Raises:
            IllegalChunkPushedError: one of them cannot be taken; those before it are stored.
            FencedError, SequenceGapError, RunEndedError, RunNotFoundError,
            SessionNotFoundError, ForbiddenError, StoreUnavailableError.
        """
        async with self._cache.hold(caller, key, first) as cached:
            if cached.next != first:
                return await self._not_next(cached, first, lines)
            chunks, refusal = _admit(cached, lines)
            pushed = await self._commit(cached, chunks) if chunks else None
            if refusal is not None:
                why, index = refusal
                after = cached.next if pushed is None else pushed.next
                raise IllegalChunkPushedError(why, index=index, next=after)
            assert pushed is not None  # noqa: S101 - there are lines, and none was refused
            return pushed

    async def _not_next(self, cached: CachedRun, first: int, lines: Sequence[bytes]) -> Pushed:
        """Answer chunks that do not begin where the log ends: they are stored, or too early."""
        (renewed,) = await self._store.renew([cached.key], self.limits.lease_ms)
        await self._check_held(cached.key, renewed)
        if first + len(lines) > cached.next:
            raise _gap(cached.next)
        await self._steers.confirm_lines(cached.key, lines)
        return Pushed(next=cached.next, stopped_by=renewed.stopped_by)

    async def _commit(self, cached: CachedRun, chunks: Sequence[AnyChunk]) -> Pushed:
        """Append chunks that the writer has taken."""
        payload, chunks = encode_readable(chunks)
        taken = await self._steers.mark(cached.key, cached.steps, chunks)
        record = ChunksRecord(
            run_id=cached.key.run_id,
            first=cached.next,
            count=len(chunks),
            level=level_of_chunks(chunks),
            payload=payload,
        )
        (answer,) = await self._store.append([AppendBatch(key=cached.key, chunks=record)])
        if answer.status is AppendStatus.UNKNOWN:
            raise StoreUnavailableError("unable to reach Redis; send the same chunks again")
        pushed = await self._checked(cached.key, answer)
        await self._steers.confirm(cached.key, taken)
        if answer.status is AppendStatus.APPENDED:
            cached.stored(chunks, len(payload))
        else:
            self._cache.forget(cached)  # the same chunks came by another way
        return pushed

    async def _checked(self, key: RunKey, answer: Appended) -> Pushed:
        if answer.status not in (AppendStatus.APPENDED, AppendStatus.DUPLICATE):
            await self._refuse(key, answer.status, answer.next)
        return Pushed(next=answer.next, stopped_by=answer.stopped_by or None)

    async def _check_held(self, key: RunKey, renewed: Renewed) -> None:
        if not renewed.held:
            await self._refuse(key, AppendStatus.NEWER if renewed.newer else AppendStatus.FENCED)

    async def _refuse(self, key: RunKey, status: AppendStatus, next_sequence: int = 0) -> NoReturn:
        """Raise the error of a refused write.

        Raises:
            SequenceGapError, RunNotFoundError, RunEndedError, FencedError, UpgradeNeededError.
        """
        if status is AppendStatus.NEWER:
            raise upgrade_needed(key.session_id)
        if status is AppendStatus.GAP:
            raise _gap(next_sequence)
        found = await self._store.load_run(key.session_id, key.run_id)
        if found is None:
            raise run_not_found()
        if found.run.state is RunState.ENDED:
            raise run_ended(found.run, found.next)
        raise FencedError(
            "unable to write this run; its lease has ended, or a later attempt has claimed it"
        )

    # -- renew ---------------------------------------------------------------------------------

    async def renew(
        self,
        caller: Caller,
        key: RunKey,
        wait_s: float,
        known: Collection[str] | None = None,
        patience_ms: int | None = None,
    ) -> Renewal:
        """Renew the lease, then wait for a stop, or a message for the run; at most `wait_s`.

        Args:
            known: messages that the worker has; None: it asks for none.
            patience_ms: how long the run waits for the job's next attempt from now on; None: as
                long as before.

        Raises:
            FencedError, RunEndedError, RunNotFoundError, SessionNotFoundError,
            ForbiddenError, StoreUnavailableError.
        """
        await self._cache.check(caller, key)
        async with self._feeds.hold(key.session_id) as feed:
            (renewed,) = await self._store.renew(
                [key], self.limits.lease_ms, patience_ms=self._bounded(patience_ms)
            )
            await self._check_held(key, renewed)
            view = await feed.view_of(key.run_id)
            if renewed.stopped_by is not None:
                return Renewal(renewed.stopped_by)
            watch = SteerWatch(self._store, key, feed, None if view.info.side else known)
            steers = await self._until_told(view, watch, min(wait_s, self.limits.max_wait_s))
            if view.ended:
                raise run_ended(view.info, view.next)
            return Renewal(view.info.stopped_by, steers)

    async def _until_told(self, view: RunView, watch: SteerWatch, limit_s: float) -> Sequence[Raw]:
        until = time.monotonic() + limit_s
        while True:
            if steers := await watch.look():
                return steers
            left_s = until - time.monotonic()
            is_over = view.info.state is not RunState.OPEN or view.lost or self._draining.started
            if is_over or left_s <= 0:
                return ()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await view.pulse.wait()

    # -- end -----------------------------------------------------------------------------------

    async def end(self, caller: Caller, key: RunKey, ending: PushedEnd) -> Pushed:
        """Store the last chunks, and write the terminal: what is open is closed first.

        Sent again, it is answered as before.

        Raises:
            As `append`; RunEndedError: it has another end.
        """
        outcome = RunOutcome(ending.outcome)
        after = ending.first + len(ending.lines)
        try:
            if ending.lines:
                await self.append(caller, key, ending.first, ending.lines)
            async with self._cache.hold(caller, key, after) as cached:
                if cached.next != after:
                    raise _gap(cached.next)
                self._cache.forget(cached)  # its writer has an end that the log may not get
                return await self._close(cached, ending, outcome)
        except RunEndedError as error:
            if error.details["outcome"] != outcome:
                raise
            return Pushed(next=int(error.details["next"]))

    async def _close(self, cached: CachedRun, ending: PushedEnd, outcome: RunOutcome) -> Pushed:
        _, chunks = encode_readable(_closing(cached.writer, ending))
        cached.assembler.apply_all(chunks)
        request = close_request(
            cached.key,
            cached.run,
            chunks,
            first=cached.next,
            outcome=outcome,
            message=cached.assembler.message(),
            reconnect_window_s=self.limits.reconnect_window_s,
        )
        return await self._checked(cached.key, await write_terminal(self._store, request))


def _foreign(messages: Iterable[UIMessage]) -> list[Raw]:
    return [raw for message in messages for raw in foreign_form(message)]


def _gap(next_sequence: int) -> SequenceGapError:
    return SequenceGapError(
        "unable to store these chunks; they do not follow those that are stored",
        next=next_sequence,
    )


def _admit(
    cached: CachedRun, lines: Sequence[bytes]
) -> tuple[list[AnyChunk], tuple[str, int] | None]:
    """Check chunks; return those before the first bad one, and its error and index."""
    chunks: list[AnyChunk] = []
    for index, line in enumerate(lines):
        try:
            chunk = decode(line)
            if type(chunk) in ENVELOPE:
                raise IllegalChunkError(
                    "unable to take a start, finish, error or abort; the run's end writes its own"
                )
            cached.writer.write(chunk)
        except (MalformedFrameError, IllegalChunkError) as error:
            return chunks, (str(error), index)
        chunks.append(chunk)
    return chunks, None


def _closing(writer: ChunkWriter, ending: PushedEnd) -> list[AnyChunk]:
    match ending.outcome:
        case "finished":
            return writer.finish(ending.finish_reason, ending.metadata)
        case "stopped":
            return writer.abort()
        case "failed":
            return writer.fail(ending.error_text or INTERNAL_SENTENCE, ending.metadata)
