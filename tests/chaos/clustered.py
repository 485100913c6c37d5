"""Three gateways over a cluster of three primaries and their replicas."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from redis.crc import key_slot

from tests.chaos.breaker import Fault
from tests.chaos.many_servers import SERVER_FAULTS, ManyServers, ServersBreaker
from tests.chaos.world import GATEWAYS
from tests.support.processes import wait_until
from tests.support.redis_cluster import PRIMARIES, ClusterNode, RedisCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import redis

    from tests.support.gateway import Settings
    from tests.support.redis_kinds import Kind
    from tests.support.redis_server import RedisServer
    from tests.support.simulator import Simulator

MOVED_LIMIT_S: Final = 60.0
RESHARDED: Final = 40
"""Slots with sessions that one reshard moves at most; half of a node's, if it has fewer."""


class Cluster(ManyServers):
    """The gateways and their cluster; one of them was given the addresses of replicas alone."""

    def __init__(
        self, folder: Path, kind: Kind, simulator: Simulator, lease: Settings | None
    ) -> None:
        super().__init__(folder, simulator, lease)
        self.cluster = RedisCluster(folder, kind)
        self.is_valkey = "valkey" in Path(kind.program).name

    @property
    def servers(self) -> Sequence[RedisServer]:
        """See ManyServers."""
        return self.cluster.nodes

    def the_primaries(self) -> Sequence[ClusterNode]:
        """See ManyServers."""
        return self.cluster.primaries

    def replicas_of(self, primary: RedisServer) -> Sequence[RedisServer]:
        """See ManyServers."""
        return [self.cluster.replica_of(self.cluster.node_at(primary.port))]

    def client_of(self, session: str) -> redis.Redis:
        """See World."""
        return self.cluster.owner(f"{{{session}}}").client

    def replace(self, primary: RedisServer) -> None:
        """See ManyServers."""
        self.cluster.kill(self.cluster.node_at(primary.port))

    def change_places(self, primary: RedisServer) -> None:
        """See ManyServers."""
        self.cluster.failover(self.cluster.node_at(primary.port))

    def is_whole(self) -> bool:
        """See ManyServers."""
        nodes = self.cluster.nodes
        return (
            all(node.answers() for node in nodes)
            and len(self.cluster.primaries) == PRIMARIES
            and sum(self.cluster.follows(node) for node in nodes) == len(nodes) - PRIMARIES
            and all(node.cluster_info()["cluster_state"] == "ok" for node in nodes)
        )

    def urls(self) -> list[str]:
        """Return the URL of each gateway."""
        addresses = [f"{host}:{port}" for host, port in self.cluster.addresses]
        seeds = [addresses[:2], addresses[1:3], addresses[PRIMARIES:]]
        return [
            self.user_in(f"redis+cluster://{','.join(each)}", i) for i, each in enumerate(seeds)
        ]


class ClusterBreaker(ServersBreaker[Cluster]):
    """Does the faults of a cluster."""

    def faults(self) -> Sequence[Fault]:
        """See Breaker."""
        return (*CLUSTER_FAULTS, AT_ONCE) if self._world.is_valkey else CLUSTER_FAULTS

    def _two(self, source: RedisServer) -> tuple[ClusterNode, ClusterNode]:
        """Return a primary, and another one that takes slots of it."""
        others = [node for node in self._world.the_primaries() if node.port != source.port]
        return self._world.cluster.node_at(source.port), self._choose.choice(others)

    async def leave_slot_migrating(self) -> None:
        """Begin to move a slot, move some of its keys, and go on much later."""
        async with self._one_primary() as primary:
            source, target = await asyncio.to_thread(self._two, primary)
            for slot in await asyncio.to_thread(_busy_slots, source, 1):
                cluster = self._world.cluster
                await asyncio.to_thread(cluster.begin_move, slot, source, target)
                try:
                    if self._choose.random() < 0.7:
                        some = self._choose.randint(1, 5)
                        await asyncio.to_thread(cluster.move_keys, slot, source, target, some)
                    await self._last(0.2, 1, 4)
                finally:
                    await asyncio.to_thread(cluster.end_move, slot, source, target)

    async def reshard(self) -> None:
        """Move half of the slots that have sessions to another primary, one after the other."""
        async with self._one_primary() as primary:
            source, target = await asyncio.to_thread(self._two, primary)
            for slot in await asyncio.to_thread(_busy_slots, source, RESHARDED):
                await asyncio.to_thread(self._world.cluster.begin_move, slot, source, target)
                await asyncio.to_thread(self._world.cluster.end_move, slot, source, target)

    async def move_at_once(self) -> None:
        """Move slots as a whole, as Valkey 9 does."""
        async with self._one_primary() as primary:
            source, target = await asyncio.to_thread(self._two, primary)
            slots = await asyncio.to_thread(_busy_slots, source, RESHARDED)
            await asyncio.to_thread(_migrate, source, target, slots)


def _busy_slots(node: ClusterNode, limit: int) -> list[int]:
    """Return half of the slots of a node that have sessions, at most `limit`; one at least."""
    tags = {key.split(b"{")[1].split(b"}")[0] for key in node.client.scan_iter("ms:{*}:meta")}
    slots = sorted({key_slot(tag) for tag in tags})
    return slots[: min(limit, (len(slots) + 1) // 2)]


def _migrate(source: ClusterNode, target: ClusterNode, slots: Sequence[int]) -> None:
    if not slots:
        return
    ranges = [("SLOTSRANGE", slot, slot, "NODE", target.id) for slot in slots]
    source.do("CLUSTER", "MIGRATESLOTS", *[word for each in ranges for word in each])

    def moved() -> bool:
        jobs = target.do("CLUSTER", "SLOT-STATS", "SLOTSRANGE", slots[0], slots[-1])
        return set(slots) <= {int(job[0]) for job in jobs}

    wait_until(moved, "the slots are moved", MOVED_LIMIT_S)


AT_ONCE: Final = Fault("slots moved at once", ClusterBreaker.move_at_once, 5)

CLUSTER_FAULTS: Final = (
    *SERVER_FAULTS,
    Fault("slot left migrating", ClusterBreaker.leave_slot_migrating, 6),
    Fault("half of a node's sessions resharded", ClusterBreaker.reshard, 5),
)


@asynccontextmanager
async def cluster_world(
    folder: Path, kind: Kind, simulator: Simulator, lease: Settings | None = None
) -> AsyncIterator[Cluster]:
    """Run all of it for the length of a block."""
    made = Cluster(folder, kind, simulator, lease)
    try:
        for node in made.cluster.nodes:
            made.admit(node)
        for url in made.urls()[:GATEWAYS]:
            made.add(url)
        for gateway in made.gateways:
            await made.revive(gateway)
        yield made
    finally:
        made.end()
