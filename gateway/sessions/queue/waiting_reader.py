"""Responses of queued sends: heartbeats until the run is opened, then the run."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from enum import Enum
from typing import TYPE_CHECKING, Self

from midstream.errors import StoreError, StoreUnavailableError
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import ErrorChunk, FinishChunk
from midstream.sessions.log.run_view import RunView
from midstream.sessions.sentences import LOG_UNREADABLE, STILL_WAITING, UNSENT_SENTENCE
from midstream.sessions.types import Idle
from midstream.store.queue.calls import ChangeEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.ids import MessageId, SessionId
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.readers import ReaderLimits
    from midstream.sessions.opening.open_run import Opening
    from midstream.sessions.reading import Reading
    from midstream.store.contract import SessionStore


class _Fate(Enum):
    WAITS = "waits"
    REMOVED = "removed"


class WaitingResponses:
    """Opens readers that wait for the runs of queued messages."""

    def __init__(
        self,
        store: SessionStore,
        hub: Hub,
        opening: Opening,
        reading: Reading,
        draining: Draining,
        limits: ReaderLimits,
    ) -> None:
        self._store = store
        self._hub = hub
        self.opening = opening
        self.reading = reading
        self.draining = draining
        self.limits = limits
        self._leaving: set[asyncio.Task[None]] = set()

    async def reader(
        self, session_id: SessionId, message_id: MessageId, client: str | None
    ) -> QueuedReader:
        """Return a reader of the run that will answer a message."""
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            return QueuedReader(self, feed, message_id, client, resources.pop_all())

    def left(self, session_id: SessionId, message_id: MessageId) -> None:
        """Note that nobody waits for a message's run any more. It stays in the queue."""
        # The reader may be cancelled: it does not wait for Redis.
        task = asyncio.create_task(self._leave(session_id, message_id))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, session_id: SessionId, message_id: MessageId) -> None:
        with suppress(StoreError):  # then it counts as waiting until its run is opened
            await self._store.change_entry(
                ChangeEntry(session_id=session_id, id=message_id, how="unread")
            )

    async def aclose(self) -> None:
        """Wait until those are noted that have just left."""
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def find(self, feed: Feed, message_id: MessageId) -> RunView | _Fate:
        """Return the run that answers a message; or whether it still waits."""
        for view in feed.runs.values():
            if view.info.user_message_id == message_id and not view.info.side:
                return view
        if message_id in feed.queued:
            return _Fate.WAITS
        state = await self._store.load(feed.session_id, leaf=message_id)
        if state is not None and message_id in state.meta.queued:
            return _Fate.WAITS  # the feed has not heard of it yet
        if state is None or not state.path or state.path[-1].run_id is None:
            return _Fate.REMOVED
        return await feed.view_of(state.path[-1].run_id)

    def is_cut_off(self, session_id: SessionId) -> bool:
        """Whether a session's Redis has been away for longer than a reader waits."""
        since = self._hub.offline_since(session_id)
        return since is not None and time.monotonic() - since > self.limits.outage_limit_s


class QueuedReader:
    """Reads the run of a queued message. Implements `types.RunReader`.

    Attributes:
        run: None: it is opened later.
    """

    run: None = None

    def __init__(
        self,
        waiting: WaitingResponses,
        feed: Feed,
        message_id: MessageId,
        client: str | None,
        resources: AsyncExitStack,
    ) -> None:
        self._waiting = waiting
        self._feed = feed
        self._message_id = message_id
        self._client = client
        self._resources = resources
        self._is_waiting = True
        self._sink: Callable[[ChunkBatch], bool] | None = None

    def write_to(self, sink: Callable[[ChunkBatch], bool]) -> None:
        """See `types.RunReader`. It is offered nothing before the run is open."""
        self._sink = sink

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._is_waiting:
            self._waiting.left(self._feed.session_id, self._message_id)
        await self._resources.aclose()

    async def __aiter__(self) -> AsyncIterator[ChunkBatch | Idle]:
        """Yield heartbeats, then what a reader of the run yields."""
        waiting, limits = self._waiting, self._waiting.limits
        sent_at = time.monotonic()
        until = sent_at + limits.queued_limit_s
        while True:
            fate: RunView | _Fate = _Fate.WAITS
            with suppress(StoreUnavailableError):
                fate = await waiting.find(self._feed, self._message_id)
            if fate is not _Fate.WAITS:
                break
            if waiting.is_cut_off(self._feed.session_id):
                yield _failed(LOG_UNREADABLE)
                return
            waiting.draining.check()
            if time.monotonic() >= until:
                yield STILL_WAITING
                return
            await self._feed.pulse.wait()
            if time.monotonic() - sent_at >= limits.heartbeat_interval_s:
                yield Idle.HEARTBEAT
                sent_at = time.monotonic()
        self._is_waiting = False
        if not isinstance(fate, RunView):
            yield _failed(UNSENT_SENTENCE)
            return
        first = await waiting.opening.told_before(fate)
        async with AsyncExitStack() as resources:
            reader = await waiting.reading.of_own_send(fate, self._client, resources, first=first)
            if self._sink is not None:
                reader.write_to(self._sink)
            async with reader:
                async for item in reader:
                    yield item


def _failed(sentence: str) -> ChunkBatch:
    return ChunkBatch.aggregate([ErrorChunk(error_text=sentence), FinishChunk()], -1)
