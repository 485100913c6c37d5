"""The feeds of the sessions that this process has readers or producers for."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Final

from midstream.aio.backoff import Backoff
from midstream.errors import StoreUnavailableError
from midstream.sessions.containment import Quarantine, keep_running
from midstream.sessions.log.feed import Feed
from midstream.store.records import Reconnected, Resubscribed
from midstream.telemetry import REDIS_RECONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Set
    from contextlib import AbstractAsyncContextManager

    from midstream.ids import SessionId
    from midstream.sessions.log.live_runs import LiveRuns
    from midstream.sessions.log.orphans import Orphans
    from midstream.store.contract import Channel, SessionStore
    from midstream.store.records import ChannelEvent, LogEntry

logger = logging.getLogger(__name__)

AUDIT_INTERVAL_S: Final = 5.0
"""Interval at which feeds compare heads with the log: a process that only listens never hears that
a slot moved, and nothing follows the last message of a run to expose its loss."""

AUDIT_SHARES: Final = 10
"""An audit of all sessions at once would be a burst that delays their chunks."""

EVERYWHERE: Final = object()
"""The place of all sessions."""

CHANNEL_RETRY_S: Final = 0.5

JOIN_ATTEMPTS: Final = 4
"""Together less than a second: for longer, a client does better to send again."""


class _AttachedFeed:
    """A feed in use. `share`: the part of the audits that checks it."""

    __slots__ = ("feed", "lock", "share", "users")

    def __init__(self, feed: Feed, share: int) -> None:
        self.feed = feed
        self.share = share
        self.users = 0
        self.lock = asyncio.Lock()


class _Hold:
    """`Hub.attach` as a block. Each reader has one: a generator would be ten times as big."""

    __slots__ = ("_hub", "_session_id")

    def __init__(self, hub: Hub, session_id: SessionId) -> None:
        self._hub = hub
        self._session_id = session_id

    async def __aenter__(self) -> Feed:
        return await self._hub.acquire(self._session_id)

    async def __aexit__(self, *exc: object) -> None:
        await self._hub.release(self._session_id)


class Hub:
    """Keeps a feed for each session in use, and fills it from the channel.

    Args:
        tick_s: how often waiting readers are woken to see whether a heartbeat is due.
        orphans: told of runs whose lease has ended.
        live_runs: those of this process; None: it has none.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        tick_s: float,
        orphans: Orphans | None = None,
        live_runs: LiveRuns | None = None,
    ) -> None:
        self._store = store
        self._orphans = orphans
        self._live_runs = live_runs
        self._tick_s = tick_s
        self._attached: dict[SessionId, _AttachedFeed] = {}
        self._shares = itertools.cycle(range(AUDIT_SHARES))
        self._channel: Channel | None = None
        self._failing: Quarantine[SessionId] = Quarantine("hub")
        self._connected = asyncio.Event()
        self._offline: dict[Hashable, float] = {}
        """By place: since when a server is away, or takes no writes, by `time.monotonic()`."""

    def offline_since(self, session_id: SessionId) -> float | None:
        """Return since when a session's Redis is away, or takes no writes; None while it serves."""
        if not self._offline:
            return None
        everywhere = self._offline.get(EVERYWHERE)
        return everywhere or self._offline.get(self._store.place(session_id))

    def attach(self, session_id: SessionId) -> AbstractAsyncContextManager[Feed]:
        """Hold a session's feed, subscribed and loaded.

        Raises (from entering):
            StoreUnavailableError: Redis cannot be reached.
        """
        return _Hold(self, session_id)

    async def acquire(self, session_id: SessionId) -> Feed:
        """Begin to use a session's feed; see `attach`."""
        if session_id not in self._attached:
            # For good: by its place among the others it would miss its turn as these come and go.
            share = next(self._shares)
            feed = Feed(self._store, session_id, self._orphans, self._live_runs)
            self._attached[session_id] = _AttachedFeed(feed, share)
        attachment = self._attached[session_id]
        attachment.users += 1
        try:
            async with attachment.lock:
                if attachment.feed.generation == 0:
                    await self._begin(attachment.feed)
        except BaseException:
            await self.release(session_id)
            raise
        return attachment.feed

    async def release(self, session_id: SessionId) -> None:
        """End the use of a session's feed."""
        attachment = self._attached[session_id]
        attachment.users -= 1
        if attachment.users == 0:
            await self._let_go(session_id, attachment)

    async def _begin(self, feed: Feed) -> None:
        if self._channel is None:
            raise StoreUnavailableError(
                "unable to reach the session log; try again in a few seconds"
            )
        await self._join(self._channel, feed.session_id)
        # Records that arrive between the two are after the state that is read, or in it.
        await feed.load()

    async def _join(self, channel: Channel, session_id: SessionId) -> None:
        """Join, over the moment in which the channel reconnects after the commands have."""
        backoff = Backoff()
        while True:
            try:
                return await channel.join(session_id)
            except StoreUnavailableError:
                if backoff.attempts >= JOIN_ATTEMPTS:
                    raise
                await backoff.wait()

    async def _let_go(self, session_id: SessionId, attachment: _AttachedFeed) -> None:
        async with attachment.lock:
            if attachment.users or self._attached.get(session_id) is not attachment:
                return
            del self._attached[session_id]
            await attachment.feed.close()
            if self._channel is not None and session_id not in self._attached:
                try:
                    await self._channel.leave(session_id)
                except StoreUnavailableError:
                    return  # the channel rejoins only what is attached when it reconnects

    async def run(self) -> None:
        """Listen, audit and tick until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_running("hub listen", self._listen), name="hub listen")
                tasks.create_task(keep_running("hub audit", self._audit), name="hub audit")
                tasks.create_task(keep_running("hub tick", self._tick), name="hub tick")
        finally:
            # A user that is still attached must not keep the catch-up running.
            for attachment in list(self._attached.values()):
                await attachment.feed.close()

    async def ready(self) -> None:
        """Wait until the channel is open for the first time."""
        await self._connected.wait()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._store.channel(self._deliver) as channel:
                    self._channel = channel
                    if self._connected.is_set():
                        REDIS_RECONNECTIONS.inc()
                    self._connected.set()
                    for attached in list(self._attached):
                        await channel.join(attached)
                        self._receive(Resubscribed(attached))
                    async for event in channel:
                        self._receive(event)
            except StoreUnavailableError as error:
                logger.warning("channel_lost reason=%s", error)
            finally:
                self._channel = None
            await asyncio.sleep(CHANNEL_RETRY_S)

    def _receive(self, event: ChannelEvent) -> None:
        if isinstance(event, Resubscribed):
            attached = self._attached.get(event.session_id)
            if attached is not None:
                attached.feed.check()
        elif isinstance(event, Reconnected):
            REDIS_RECONNECTIONS.inc()
            for attachment in self._attached.values():
                attachment.feed.check()

    def _deliver(self, session_id: SessionId, entry: LogEntry) -> None:
        attached = self._attached.get(session_id)
        if attached is None:
            return
        try:
            attached.feed.receive(entry)
        except Exception as error:
            self._failing.failed(session_id, error, session=session_id)
            attached.feed.check()

    async def _audit(self) -> None:
        """Ask for Redis, and compare each feed's head with its log once in an interval."""
        share = 0
        while True:
            await asyncio.sleep(AUDIT_INTERVAL_S / AUDIT_SHARES)
            try:
                away = await self._ask(share)
            except StoreUnavailableError:
                self._offline.setdefault(EVERYWHERE, time.monotonic())
                continue
            share = (share + 1) % AUDIT_SHARES
            self._check(share, self._offline.keys() - away)
            since = self._offline.get(EVERYWHERE, time.monotonic())
            self._offline = {place: self._offline.get(place, since) for place in away}

    def _check(self, share: int, back: Set[Hashable] = frozenset()) -> None:
        """Have the feeds of a share compared with their logs, and those of places that are back."""
        for session_id, attached in list(self._attached.items()):
            is_back = bool(back) and (EVERYWHERE in back or self._store.place(session_id) in back)
            if is_back or attached.share == share:
                attached.feed.check()

    async def _ask(self, share: int) -> Collection[Hashable]:
        """Ping Redis; with an open run, now and then probe a write. Return the places away.

        A Redis that can be read and takes no writes moves no run on. Once away, it is back when
        it takes one.
        """
        if self._offline or (share == 0 and self._follows_open_run()):
            return await self._store.probe()
        return await self._store.ping()

    def _follows_open_run(self) -> bool:
        return any(attached.feed.active is not None for attached in self._attached.values())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            self.wake_all()

    def wake_all(self) -> None:
        """Wake every waiting reader: for a heartbeat, an outage, a shutdown."""
        for attachment in self._attached.values():
            attachment.feed.pulse.send()
            for run in attachment.feed.runs.values():
                run.pulse.send()
