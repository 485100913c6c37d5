"""One process's subscription in a cluster: a link to each node that has sessions of ours.

A session's channel is served by the node of its slot alone. When the slot moves, or its node is
replaced, the session is joined at the new one, and its reader is told to compare heads: what was
published in between has come to nobody. The old node says so at best; a replaced one says nothing.
So the map is read anew every second, and each session's place compared with it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.answers import Step, meaning_of
from midstream.store.errors import unavailable
from midstream.store.records import Reconnected, Resubscribed
from midstream.store.redis.channel import RedisChannel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from redis.asyncio.connection import AbstractConnection

    from midstream.ids import SessionId
    from midstream.store.cluster.client import ClusterClient
    from midstream.store.cluster.slots import Node
    from midstream.store.keys import Keys
    from midstream.store.records import ChannelEvent, Receive
    from midstream.store.redis.client import Reply
    from midstream.store.server.settings import StoreSettings

AUDIT_INTERVAL_S: Final = 1.0
"""Interval at which the map is read anew: a replaced node says nothing to who only listens."""
LEAST_INTERVAL_S: Final = 0.05
MAX_EVENTS: Final = 1_000
"""Events of all links that wait for the reader; then the links wait, and Redis buffers."""
REDIRECTIONS: Final = 3
"""Of one join: nodes may contradict each other for a while."""


class _Link(RedisChannel):
    """The subscriptions at one node."""

    def __init__(
        self,
        node: Node,
        client: ClusterClient,
        keys: Keys,
        settings: StoreSettings,
        receive: Receive | None,
        on_redirection: Callable[[list[SessionId]], None],
    ) -> None:
        super().__init__(client.client(node), keys, settings, receive)
        self.node = node
        self._topology = client.topology
        self._on_redirection = on_redirection

    @property
    def sessions(self) -> list[SessionId]:
        """Those that are joined here, or are to be."""
        return list(self._wanted.values())

    async def _read(self, connection: AbstractConnection) -> Reply | None:
        """See RedisChannel. A redirection ends subscriptions, not the link."""
        try:
            return await super()._read(connection)
        except Exception as error:
            meaning = meaning_of(error, self.node)
            if meaning.step is not Step.GO or meaning.node is None:
                raise
            self._heard = True
            self._topology.moved(meaning.slot, meaning.node)
        gone = [feed for feed in self._wanted if self._topology.node_for(feed) != self.node]
        self._on_redirection([self._forget(feed) for feed in gone])
        return None

    def _forget(self, feed: bytes) -> SessionId:
        """Forget a subscription that this node does not have; who joins it joins another."""
        self._confirmed.discard(feed)
        self._rejoining.discard(feed)
        joined = self._joining.pop(feed, None)
        if joined is not None and not joined.done():
            joined.set_exception(unavailable())
        return self._wanted.pop(feed)


class ClusterChannel:
    """`Channel`, on sharded pub/sub. An async context manager; iterate it in one task."""

    def __init__(
        self, client: ClusterClient, keys: Keys, settings: StoreSettings, receive: Receive | None
    ) -> None:
        self._client = client
        self._receive = receive
        self._topology = client.topology
        self._keys = keys
        self._settings = settings
        self._links: dict[Node, tuple[_Link, asyncio.Task[None]]] = {}
        self._at: dict[SessionId, Node | None] = {}
        """Whom we want, and at which node they are joined; None: to be joined anywhere."""
        self._events: asyncio.Queue[ChannelEvent | Exception] = asyncio.Queue(MAX_EVENTS)
        self._look = asyncio.Event()
        self._auditing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._auditing = asyncio.create_task(self._audit(), name="channel audit")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        tasks = [task for _, task in self._links.values()]
        if self._auditing is not None:
            tasks.append(self._auditing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def join(self, session_id: SessionId) -> None:
        """See Channel."""
        feed = self._keys.session(session_id).feed
        self._at.setdefault(session_id, None)
        if not self._topology.nodes:
            await self._topology.refresh()
        for attempt in range(REDIRECTIONS):
            node = self._topology.node_for(feed)
            if node is None:
                break
            try:
                return await self._join_at(node, session_id)
            except StoreUnavailableError:
                if self._topology.node_for(feed) == node or attempt == REDIRECTIONS - 1:
                    raise
        self._look.set()
        raise unavailable()

    async def _join_at(self, node: Node, session_id: SessionId) -> None:
        """Join at one node, and at no other."""
        before, self._at[session_id] = self._at.get(session_id), node
        if before is not None and before != node and before in self._links:
            await self._links[before][0].leave(session_id)
        if self._at.get(session_id) == node:
            await self._link(node).join(session_id)

    async def leave(self, session_id: SessionId) -> None:
        """See Channel."""
        node = self._at.pop(session_id, None)
        if node is not None and node in self._links:
            await self._links[node][0].leave(session_id)

    async def __aiter__(self) -> AsyncIterator[ChannelEvent]:
        """See Channel."""
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    def _link(self, node: Node) -> _Link:
        if node not in self._links:
            link = _Link(
                *(node, self._client, self._keys, self._settings),
                *(self._receive, self._redirected),
            )
            task = asyncio.create_task(self._listen(link), name=f"channel at {node}")
            self._links[node] = link, task
        return self._links[node][0]

    def _redirected(self, sessions: list[SessionId]) -> None:
        for session_id in sessions:
            if session_id in self._at:
                self._at[session_id] = None
        self._look.set()

    async def _listen(self, link: _Link) -> None:
        """Pass on what comes from one node, until it is let go."""
        try:
            async with link:
                async for event in link:
                    if isinstance(event, Reconnected):
                        for session_id in link.sessions:
                            await self._events.put(Resubscribed(session_id))
                    else:
                        await self._events.put(event)
        except Exception as error:
            await self._events.put(error)

    # -- where sessions are -----------------------------------------------------------------------

    async def _audit(self) -> None:
        """Keep each session joined at the node of its slot."""
        version = -1
        try:
            while True:
                await asyncio.sleep(LEAST_INTERVAL_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(AUDIT_INTERVAL_S):
                        await self._look.wait()
                is_asked = self._look.is_set()
                self._look.clear()
                await self._topology.refresh()
                if is_asked or version != self._topology.version:
                    version = self._topology.version
                    await self._place()
        except Exception as error:
            await self._events.put(error)

    async def _place(self) -> None:
        """Join again whoever is not where its slot is, and let go of links without sessions."""
        moved = [
            (session_id, node)
            for session_id, before in self._at.items()
            if (node := self._topology.node_for(self._keys.session(session_id).feed)) != before
            and node is not None
        ]
        await asyncio.gather(*(self._move(session_id, node) for session_id, node in moved))
        for node, (link, task) in list(self._links.items()):
            if node not in self._topology.nodes and not link.sessions:
                del self._links[node]
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _move(self, session_id: SessionId, node: Node) -> None:
        if session_id not in self._at:
            return
        try:
            await self._join_at(node, session_id)
        except StoreUnavailableError:
            return  # its link joins it when it is connected, or is redirected once more
        if session_id in self._at:
            await self._events.put(Resubscribed(session_id))
