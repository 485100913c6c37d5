"""Readers of a session's feed: a position, and a wait for each client. As `readers.py`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from midstream.errors import StoreUnavailableError
from midstream.protocol.position import Position
from midstream.sessions.log.feed_events import feed_event, run_event
from midstream.sessions.log.stored_run import PAGE_RECORDS
from midstream.sessions.types import FeedEvent, Idle
from midstream.telemetry import RESUMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

    from midstream.ids import RunId
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.readers import ReaderLimits
    from midstream.store.contract import SessionStore
    from midstream.store.records import LogEntry

ERASED: Final = FeedEvent("erased", b"{}", None)
"""Sent to clients that have seen the session, before an empty snapshot."""

LOST: Final = FeedEvent("lost", b'{"code":"not_recovered"}', None)
"""Sent to them if the session was lost, not deleted, before the snapshot. A client that has
a position of another epoch gets the snapshot alone: the position may be of any session."""


class FeedFollower:
    """Follows a session's records. Implements `types.FeedReader`.

    Args:
        position: where the client stands, or None: it gets a snapshot first.
        side: it is told of side runs, too.
        snapshot: reads the session as this caller may see it: the event, and the position
            after it; None in its place while there is nothing that the caller may see.
        announce: counts this reader among those who have the session open, once it sees it.
    """

    def __init__(
        self,
        feed: Feed,
        store: SessionStore,
        *,
        position: Position | None,
        side: bool = False,
        snapshot: Callable[[], Awaitable[FeedEvent]],
        announce: Callable[[], AbstractAsyncContextManager[None]],
        draining: Draining,
        limits: ReaderLimits,
        resources: AsyncExitStack,
    ) -> None:
        self._feed = feed
        self._store = store
        self._position = position
        self._side = side
        self._generation = feed.generation if position is not None else -1
        self._snapshot = snapshot
        self._announce: Callable[[], AbstractAsyncContextManager[None]] | None = announce
        self._present = feed.present
        self._silent: frozenset[RunId] = frozenset()
        self._draining = draining
        self._limits = limits
        self._resources = resources
        self._told: Position | None = None
        self._sent_at = 0.0
        self._sink: Callable[[FeedEvent], bool] | None = None
        feed.follow()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._feed.unfollow()
        await self._resources.aclose()

    def write_to(self, sink: Callable[[FeedEvent], bool]) -> None:
        """See RunReader."""
        self._sink = sink if self._side else lambda event: event.side or sink(event)

    async def __aiter__(self) -> AsyncIterator[FeedEvent | Idle]:
        """Yield events and heartbeats; ends only with the connection, or a shutdown."""
        feed = self._feed
        self._sent_at = time.monotonic()
        while True:
            try:
                if self._generation != feed.generation:
                    if self._position is not None and self._told is None:
                        RESUMES.labels("snapshot").inc()
                    if (gone := self._loss()) is not None:
                        self._position = None
                        yield gone
                    yield await self._begin_again()
                    self._sent_at = time.monotonic()
                await self._announce_presence()
                async for event in self._available():
                    yield event
                    self._sent_at = time.monotonic()
                if self._generation != feed.generation:
                    continue
            except StoreUnavailableError:
                pass  # read on when it is back; the client sees heartbeats meanwhile
            self._draining.check()
            if (at := await self._news()) is not None:
                self._position = self._told = at
                self._sent_at = feed.pulse.handed_at
            if time.monotonic() - self._sent_at >= self._limits.heartbeat_interval_s:
                yield Idle.HEARTBEAT
                self._sent_at = time.monotonic()

    def _news(self) -> Awaitable[Position | None]:
        """As a `LogReader` does."""
        tail = self._feed.pulse
        if self._sink is None or self._position is None or self._position != self._feed.head:
            return tail.wait()
        return tail.wait_taking(self._sink)

    def _loss(self) -> FeedEvent | None:
        """Return the event for a client that has seen the session, if it is gone."""
        if self._position is None:
            return None
        if self._feed.erased_at == self._feed.generation:
            return ERASED
        head, told = self._feed.head, self._told
        return LOST if told and (head is None or head.epoch != told.epoch) else None

    async def _begin_again(self) -> FeedEvent:
        generation = self._feed.generation
        event = await self._snapshot()
        self._generation = generation
        self._position = self._told = event.position
        return event

    async def _announce_presence(self) -> None:
        """Announce the follower, once, as soon as it sees the session."""
        if self._position is not None and self._announce is not None:
            announce, self._announce = self._announce, None
            await self._resources.enter_async_context(announce())

    async def _available(self) -> AsyncIterator[FeedEvent]:
        """Yield what follows the position, from the ring or from the log; then what is in none.

        Ends when nothing more was there at one moment: a record that arrives while an event is
        sent wakes no waiter.
        """
        while True:
            while self._position is not None and self._position != self._feed.head:
                if self._generation != self._feed.generation:
                    return  # it began anew while an event was sent; who may see it is asked again
                entries = self._in_ring() or await self._in_log()
                for entry in entries:
                    self._position = Position(self._position.epoch, entry.offset)
                    event = feed_event(entry, self._position)
                    if event is not None and (self._side or not event.side):
                        yield event
                if not entries:
                    break
            if self._position is None or self._generation != self._feed.generation:
                return  # a snapshot comes first
            if self._told is None:
                RESUMES.labels("tail").inc()
            self._told = self._position
            present, silent = self._feed.present, self._feed.silent
            if silent != self._silent:
                changed, self._silent = silent ^ self._silent, silent
                for run in [run for run_id, run in self._feed.runs.items() if run_id in changed]:
                    if self._side or not run.info.side:
                        yield run_event(run.info, None)
            elif present is None or present is self._present:
                return
            else:
                self._present = present
                yield FeedEvent("presence", b'{"here":%b}' % bytes(present), None)

    def _in_ring(self) -> tuple[LogEntry, ...]:
        ring = self._feed.entries or ()
        for index in range(len(ring) - 1, -1, -1):
            if self._position is not None and ring[index].previous == self._position.offset:
                return tuple(ring)[index:]
        return ()

    async def _in_log(self) -> tuple[LogEntry, ...]:
        if self._position is None:
            return ()
        page = await self._store.read_log(self._feed.session_id, self._position, count=PAGE_RECORDS)
        if not page.recovered or any(e.begins_again for e in page.entries):
            self._generation = -1  # a snapshot comes first
            return ()
        return page.entries
