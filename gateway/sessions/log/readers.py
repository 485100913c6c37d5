"""Readers of a run: a cursor and a wait for each client.

A reader holds no queue. It pulls what the run's ring has from its cursor on; what has left
the ring it reads from Redis. When it is at the end it waits, and what arrives goes to its sink;
only what that refuses wakes it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import msgspec

from midstream.errors import DrainingError, NotRecoveredError, StoreUnavailableError
from midstream.sessions.sentences import (
    ATTEMPT_BEGAN,
    AWAITS_ATTEMPT,
    LOG_LOST,
    LOG_UNREADABLE,
    PART_LOST,
    STILL_WAITING,
    WAIT_ENDED,
    WAITING,
)
from midstream.sessions.signals.ends import ReaderSpan
from midstream.sessions.types import Idle
from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from midstream.ids import MessageId
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.run_view import RunView
    from midstream.store.records import RunInfo


class ReaderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of a reader: until it sends a heartbeat, until Redis is back, until its turn comes."""

    heartbeat_interval_s: float = 15.0
    outage_limit_s: float = 30.0
    queued_limit_s: float = 600.0


class LogReader:
    """Reads one run from a sequence on. Implements `types.RunReader`.

    Args:
        first: what to yield before everything else: the state of a late joiner.
        cursor: the sequence of the next chunk to yield.
        hold: keeps the run's feed attached, and what else ends with the reader; entered already.
        answers: of a send's response, its message; a later one takes the wait for a run over.
        expires_at: of its client's token, in seconds since 1970; a wait ends then. None: never.
    """

    __slots__ = (
        "_answers",
        "_cursor",
        "_draining",
        "_expires_at",
        "_first",
        "_hold",
        "_hub",
        "_limits",
        "_offset",
        "_rewinds",
        "_sent_at",
        "_sink",
        "_span",
        "_told",
        "_view",
        "_waits_until",
        "_was_newest",
        "run",
    )

    def __init__(
        self,
        view: RunView,
        *,
        cursor: int,
        first: ChunkBatch | None,
        hub: Hub,
        draining: Draining,
        limits: ReaderLimits,
        hold: AbstractAsyncContextManager[object],
        answers: MessageId | None = None,
        expires_at: float | None = None,
    ) -> None:
        self.run: RunInfo = view.info
        self._sink: Callable[[ChunkBatch], bool] | None = None
        self._view = view
        self._cursor = cursor
        self._offset = view.opened
        self._rewinds = view.rewinds
        self._sent_at = 0.0
        self._told: ChunkBatch | None = None
        self._waits_until: float | None = None
        self._answers = answers
        self._was_newest = False
        self._expires_at = expires_at
        self._first = first
        self._hub = hub
        self._draining = draining
        self._limits = limits
        self._hold = hold
        view.readers += 1
        self._span = ReaderSpan(view)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._view.readers -= 1
        is_sent_away = len(exc) > 1 and isinstance(exc[1], DrainingError)
        has_all = self._cursor >= self._view.next
        self._span.end(self._view, has_all=has_all, is_sent_away=is_sent_away)
        await self._hold.__aexit__(*exc)

    def write_to(self, sink: Callable[[ChunkBatch], bool]) -> None:
        """See RunReader."""
        self._sink = sink

    async def __aiter__(self) -> AsyncIterator[ChunkBatch | Idle]:
        """Yield batches, heartbeats, and at last the batch with `finish`."""
        view = self._view
        if self._first is not None and self._first.count:
            yield self._first
        self._sent_at = time.monotonic()
        while True:
            try:
                if view.doubt is not None:
                    await view.settle()
                async for batch in self._known():
                    yield batch
                if view.doubt is not None:
                    continue
                if self._rewinds != view.rewinds:
                    yield view.failure(self._cursor, PART_LOST)
                    return
                if view.ended and self._cursor >= view.next:
                    return
                if view.lost:
                    if not await view.find_again():
                        yield view.failure(self._cursor, LOG_LOST)
                        return
                    continue
            except NotRecoveredError as error:
                yield view.failure(self._cursor, error.message)
                return
            except StoreUnavailableError:
                pass  # the hub says for how long already
            if self._has_waited():
                yield STILL_WAITING
                return
            if self._is_cut_off():
                yield view.failure(self._cursor, LOG_UNREADABLE)
                return
            if (note := self._note()) is not None:
                yield note
                continue
            if (at := await self._news()) is not None:
                self._cursor, self._offset = at
                self._sent_at = view.pulse.handed_at
            if time.monotonic() - self._sent_at >= self._limits.heartbeat_interval_s:
                yield Idle.HEARTBEAT
                self._sent_at = time.monotonic()

    async def _known(self) -> AsyncIterator[ChunkBatch]:
        """Yield what is known of the run from the cursor on."""
        view = self._view
        while self._cursor < view.next and self._rewinds == view.rewinds:
            if (before := self._cursor) < view.base:
                async for offset, batch in view.read_back(before, self._offset):
                    yield batch
                    self._move_after(batch, offset)
                if self._cursor == before:
                    return  # a failover has lost it; its producer appends it again
            else:
                offset, batch = view.after(self._cursor)
                yield batch
                self._move_after(batch, offset)

    def _news(self) -> Awaitable[tuple[int, str] | None]:
        """Return a wait for what the sink does not take, or a pulse: see `Tail.wait_taking`."""
        tail = self._view.pulse
        if self._sink is None or self._cursor != self._view.next:
            return tail.wait()
        return tail.wait_taking(self._sink)

    def _move_after(self, batch: ChunkBatch, offset: str) -> None:
        """Move the cursor behind a batch, whose last record is at `offset`.

        Only then look for more: while it was sent, the ring may have dropped what comes next.
        """
        self._cursor, self._offset = batch.last + 1, offset
        self._sent_at = time.monotonic()

    def _note(self) -> ChunkBatch | None:
        """Return what the client does not know yet of the run, or what is over."""
        info, told = self._view.info, self._told
        note = AWAITS_ATTEMPT if info.silent else None
        if info.state is RunState.WAITING:
            note = WAITING
        if note is told:
            return None
        self._told = note
        return note or (WAIT_ENDED if told is WAITING else ATTEMPT_BEGAN)

    def _has_waited(self) -> bool:
        """Whether the response ends before the run's wait does: the answer is there later."""
        info = self._view.info
        is_newest = self._answers == info.user_message_id
        self._was_newest |= is_newest
        if info.state is not RunState.WAITING:
            self._waits_until = None
            return False
        if self._waits_until is None:
            self._waits_until = time.monotonic() + self._limits.queued_limit_s
        return (
            self._draining.started
            or time.monotonic() >= self._waits_until
            or (self._expires_at is not None and time.time() >= self._expires_at)
            or (self._was_newest and not is_newest)
        )

    def _is_cut_off(self) -> bool:
        """Whether to stop waiting; raises DrainingError if another gateway can serve."""
        if self._view.live is None:
            # Runs of this process are drained; those of others continue without us.
            self._draining.check()
        since = self._hub.offline_since(self._view.session_id)
        return since is not None and time.monotonic() - since > self._limits.outage_limit_s
