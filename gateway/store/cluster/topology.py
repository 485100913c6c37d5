"""The map of a cluster as this process knows it, read anew when an answer contradicts it.

One refresh runs at a time, whoever asks for it, and not again within `EVERY_S`: a failover makes
every command of every session ask for one.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, Protocol

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.slots import SlotMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.store.cluster.answers import Reply
    from midstream.store.cluster.slots import Node
    from midstream.store.scripts.script import Command

EVERY_S: Final = 0.1
"""Shortest time between two refreshes."""
NODE_LIMIT_S: Final = 1.0
"""Longest wait for one node's answer; then the next one is asked."""


class Nodes(Protocol):
    """Sends commands to nodes, over connections of its own."""

    async def send(self, node: Node, commands: Sequence[Command]) -> list[Reply]:
        """Send commands over one connection, in order; return replies, refusals among them.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
        """
        ...


class Topology:
    """The map, and who is asked for it.

    Args:
        seeds: the nodes of the URL; asked, too, when none of the known ones answers.
        now: returns the time in seconds.

    Attributes:
        generation: how often the map was read anew.
        version: counts its changes.
    """

    def __init__(
        self,
        seeds: Sequence[Node],
        nodes: Nodes,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        self.version = 0
        self._seeds = tuple(seeds)
        self._nodes = nodes
        self._now = now
        self._map = SlotMap()
        self._refreshing: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def node_of(self, slot: int | None) -> Node | None:
        """Return the node of a slot; of no slot, any node. None: nobody serves it, or unknown."""
        if slot is not None:
            return self._map.node_of(slot)
        return next(iter(self._map.nodes), None)

    def node_for(self, key: bytes) -> Node | None:
        """Return the node of a key; None: nobody serves it, or unknown."""
        return self._map.node_for(key)

    @property
    def nodes(self) -> frozenset[Node]:
        """The known primaries."""
        return self._map.nodes

    @property
    def is_whole(self) -> bool:
        """Whether each slot has a node."""
        return self._map.is_whole

    def moved(self, slot: int, node: Node) -> None:
        """Note that a slot is served by another node, as the one before has said."""
        if self._map.node_of(slot) != node:
            self._map = self._map.moved(slot, node)
            self.version += 1

    async def refresh(self) -> None:
        """Read the map anew, or wait for the refresh that is under way.

        Returns without a new map if no node answers, or if one was read a moment ago.
        """
        refreshing = self.refresh_soon()
        if refreshing is not None:
            # One who stops waiting stops it for nobody else.
            await asyncio.shield(refreshing)

    def refresh_soon(self) -> asyncio.Task[None] | None:
        """Begin a refresh unless one runs; None if one ended a moment ago."""
        if self._refreshing is None and self._now() >= self._not_before:
            self._refreshing = asyncio.create_task(self._refresh(), name="cluster refresh")
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        self._not_before = self._now() + EVERY_S
        if not task.cancelled():
            task.exception()

    async def _refresh(self) -> None:
        known = list({*self._map.nodes, *self._seeds})
        random.shuffle(known)
        for node in known:
            found = await self._ask(node)
            if found is not None and found.nodes:
                self.version += found != self._map
                self._map = found
                self.generation += 1
                return

    async def _ask(self, node: Node) -> SlotMap | None:
        try:
            async with asyncio.timeout(NODE_LIMIT_S):
                (reply,) = await self._nodes.send(node, [("CLUSTER", "SLOTS")])
            return None if isinstance(reply, Exception) else SlotMap.read(reply, node)
        except (StoreUnavailableError, TimeoutError, ValueError):
            return None

    async def aclose(self) -> None:
        """End a refresh that is under way."""
        refreshing = self._refreshing
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
