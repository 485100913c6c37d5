"""Commands to a cluster: each to the node that serves its key. See `Commands`."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from redis.exceptions import NoScriptError

from midstream.errors import StoreError, StoreUnavailableError
from midstream.store.cluster.clients import NodeClients
from midstream.store.cluster.router import Router
from midstream.store.cluster.slots import Node, slot_of, slot_of_command
from midstream.store.cluster.topology import Topology
from midstream.store.errors import translated, unavailable, word_of
from midstream.store.redis.client import OF_A_WORKING_NODE
from midstream.store.scripts.catalog import Scripts

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from midstream.settings.redis_url import ClusterUrl
    from midstream.store.redis.client import RedisClient, Reply
    from midstream.store.scripts.script import Command
    from midstream.store.server.settings import StoreSettings

NOW_LIMIT_S: Final = 0.05
"""Time in which `run_now` sends a command again that a node does not take yet."""
CHECK_LIMIT_S: Final = 1.0
"""Wait for the nodes' answers to a check. One that comes later counts in the next check."""


class ClusterClient:
    """Commands to a cluster. Implements `Commands`.

    Attributes:
        topology: the map of slots, as it is known here.
    """

    def __init__(self, url: ClusterUrl, settings: StoreSettings) -> None:
        self.scripts = Scripts(sharded=True)
        self._seeds = frozenset(Node(seed.host, seed.port) for seed in url.seeds)
        self._nodes = NodeClients(url, settings, self.scripts)
        self.topology = Topology(tuple(self._seeds), self._nodes)
        self._router = Router(
            self.topology,
            self._nodes,
            lambda commands: self.scripts.sources(commands),
            limit_s=settings.command_timeout_s,
        )
        self._failed_at: dict[int, float] = {}
        """By slot: when it was seen not to be served."""
        self._checks: dict[Node, asyncio.Task[bool]] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        checks = list(self._checks.values())
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        await self.topology.aclose()
        await self._nodes.aclose()

    # -- commands -------------------------------------------------------------------------------

    async def run(self, command: Command) -> Reply:
        """See Commands."""
        return (await self.run_all((command,)))[0]

    async def run_all(self, commands: Sequence[Command]) -> list[Reply]:
        """See Commands."""
        outcomes = await self.run_each(commands)
        refused = [each for each in outcomes if isinstance(each, StoreError)]
        if refused:
            away = (each for each in refused if isinstance(each, StoreUnavailableError))
            raise next(away, refused[0])
        return outcomes

    async def run_each(self, commands: Sequence[Command]) -> list[Reply]:
        """See Commands."""
        return self._told(commands, await self._router.run_each(commands))

    async def run_now(self, commands: Sequence[Command]) -> list[Reply]:
        """See Commands."""
        return self._told(commands, await self._router.run_each(commands, limit_s=NOW_LIMIT_S))

    def _told(self, commands: Sequence[Command], outcomes: list[Reply]) -> list[Reply]:
        """Translate what was refused, and note the slots that are not served."""
        for place, outcome in enumerate(outcomes):
            if not isinstance(outcome, Exception):
                continue
            outcomes[place] = error = translated(outcome) or outcome
            slot = slot_of_command(commands[place])
            if isinstance(error, StoreUnavailableError) and slot is not None:
                self._failed_at[slot] = time.monotonic()
        return outcomes

    # -- places ---------------------------------------------------------------------------------

    def serving(self, keys: Iterable[bytes]) -> RedisClient | None:
        """See Commands."""
        node_for = self.topology.node_for
        the_one: Node | None = None
        for key in keys:
            node = node_for(key)
            if node is None or (the_one is not None and node != the_one):
                return None
            the_one = node
        return None if the_one is None else self._nodes.client(the_one)

    def place(self, key: bytes) -> Hashable:
        """See Commands."""
        return self.topology.node_for(key)

    def is_away(self, key: bytes) -> bool:
        """See Commands."""
        node = self.topology.node_for(key)
        return node is not None and self._nodes.client(node).failed

    def served_since(self, key: bytes) -> float | None:
        """See Commands."""
        node = self.topology.node_for(key)
        since = None if node is None else self._nodes.client(node).healthy_since
        # Its slot may have been between two nodes, while both worked.
        return since and max(since, self._failed_at.get(slot_of(key), since))

    @property
    def healthy_since(self) -> float | None:
        """Since when all nodes work; None while one does not."""
        since = [self._nodes.client(node).healthy_since for node in self.topology.nodes]
        known = [each for each in since if each is not None]
        return max(known) if known and len(known) == len(since) else None

    async def servers(self) -> Sequence[RedisClient]:
        """See Commands. The URL's own, if none of them says that it is one of a cluster."""
        if not self.topology.nodes:
            await self.topology.refresh()
        return [self._nodes.client(node) for node in sorted(self.topology.nodes or self._seeds)]

    def client(self, node: Node) -> RedisClient:
        """Return what talks to one node."""
        return self._nodes.client(node)

    # -- health ---------------------------------------------------------------------------------

    async def check(self, probes: Iterable[Command]) -> frozenset[Hashable]:
        """See Commands."""
        await self._know_nodes()
        by_node = {self.topology.node_of(slot_of_command(each)): each for each in probes}
        nodes = self.topology.nodes
        for node in nodes - self._checks.keys():
            task = asyncio.create_task(
                self._check(node, by_node.get(node, ("PING",))), name=f"check of {node}"
            )
            self._checks[node] = task
        tasks = {node: task for node, task in self._checks.items() if node in nodes}
        if tasks:
            await _one_good(tasks.values())
        away = {node for node, task in tasks.items() if not (task.done() and task.result())}
        for node, task in list(self._checks.items()):
            if task.done():
                del self._checks[node]
        if away or not nodes:
            self.topology.refresh_soon()
        if away == nodes:
            raise unavailable()
        return frozenset(away)

    async def _know_nodes(self) -> None:
        """Have a map, and connections to its nodes alone."""
        if not self.topology.nodes:
            await self.topology.refresh()
        else:
            await self._nodes.keep_only(self.topology.nodes | self._seeds)

    async def _check(self, node: Node, command: Command) -> bool:
        """Return whether a node answers a command as it should."""
        with suppress(StoreUnavailableError):
            (reply,) = await self._nodes.client(node).exchange([command])
            if isinstance(reply, NoScriptError):
                (reply,) = await self._router.run_each([command])
            return not isinstance(reply, Exception) or word_of(reply) in OF_A_WORKING_NODE
        return False


async def _one_good(checks: Iterable[asyncio.Task[bool]]) -> None:
    """Wait for checks; for longer only until one is good, or all have ended."""
    done, pending = await asyncio.wait(checks, timeout=CHECK_LIMIT_S)
    while pending and not any(check.result() for check in done):
        more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        done |= more
