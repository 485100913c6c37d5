"""The router on a real cluster: nodes change places, slots move, scripts are forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from midstream.errors import StoreUnavailableError
from midstream.settings.redis_url import Address, ClusterUrl
from midstream.store.cluster.clients import NodeClients
from midstream.store.cluster.router import Router
from midstream.store.cluster.slots import Node
from midstream.store.cluster.topology import Topology
from midstream.store.keys import HintName
from midstream.store.scripts.catalog import Scripts
from midstream.store.server.settings import StoreSettings
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.store.cluster.answers import Reply
    from tests.support.redis_cluster import ClusterNode, RedisCluster

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SESSIONS = [f"s{i}" for i in range(24)]
SCRIPTS = Scripts(sharded=True)


def key_of(session: str, name: str = "counted") -> bytes:
    return f"ms:{{{session}}}:{name}".encode()


@asynccontextmanager
async def router_over(cluster: RedisCluster) -> AsyncIterator[Router]:
    """A router that knows one node, and finds the others."""
    host, port = cluster.addresses[0]
    clients = NodeClients(
        ClusterUrl(seeds=(Address(host, port),)), StoreSettings(command_timeout_s=2), SCRIPTS
    )
    topology = Topology([Node(*address) for address in cluster.addresses], clients)
    yield Router(topology, clients, SCRIPTS.sources)
    await topology.aclose()
    await clients.aclose()


class Writer:
    """Counts one up in each session, over and over, and keeps what became of it.

    Attributes:
        acknowledged, unknown: how often, by session.
        refused: outcomes that are neither.
    """

    def __init__(self, router: Router) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.refused: list[Reply] = []
        self._router = router

    async def run(self) -> None:
        """Write until cancelled; each session by itself, as the shards' committers will."""
        await asyncio.gather(*map(self._write, SESSIONS))

    async def _write(self, session: str) -> None:
        while True:
            command = ("HINCRBY", key_of(session), "count", 1)
            (outcome,) = await self._router.run_each([command])
            if isinstance(outcome, StoreUnavailableError):
                self.unknown[session] += 1
            elif isinstance(outcome, Exception):
                self.refused.append(outcome)
            else:
                self.acknowledged[session] += 1
            await asyncio.sleep(0.005)

    async def more(self, sessions: list[str], times: int = 20) -> None:
        """Wait until so many more of each session's writes have been acknowledged."""
        before = self.acknowledged.copy()
        await eventually(
            lambda: all(self.acknowledged[s] >= before[s] + times for s in sessions),
            f"{times} more writes of {sessions}",
            60,
        )


@asynccontextmanager
async def writing(router: Router) -> AsyncIterator[Writer]:
    """Write in the background; then compare all counts with what was acknowledged."""
    writer = Writer(router)
    task = asyncio.create_task(writer.run())
    try:
        await writer.more(SESSIONS)
        yield writer
        await writer.more(SESSIONS)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    counts = await router.run_each([("HGET", key_of(s), "count") for s in SESSIONS])
    for session, count in zip(SESSIONS, counts, strict=True):
        # One more: the write that was cancelled.
        most = writer.acknowledged[session] + writer.unknown[session] + 1
        assert writer.acknowledged[session] <= int(count) <= most
    assert writer.refused == []


def served_by(cluster: RedisCluster, node: ClusterNode) -> list[str]:
    return [session for session in SESSIONS if cluster.owner(f"{{{session}}}") is node]


async def test_planned_failover_loses_no_acknowledged_write(redis_cluster: RedisCluster) -> None:
    async with router_over(redis_cluster) as router, writing(router) as writer:
        first = redis_cluster.owner("{s0}")
        theirs = served_by(redis_cluster, first)
        await asyncio.to_thread(redis_cluster.failover, first)
        await writer.more(theirs)


async def test_killed_primary_stops_the_sessions_of_its_own_slots_alone(
    redis_cluster: RedisCluster,
) -> None:
    """Those of others are written on before its replica has taken over; then its own, too."""
    async with router_over(redis_cluster) as router, writing(router) as writer:
        lost = redis_cluster.owner("{s0}")
        replica = redis_cluster.replica_of(lost)
        theirs = served_by(redis_cluster, lost)
        others = [session for session in SESSIONS if session not in theirs]
        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        lost.kill()
        await writer.more(others)
        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "no")
        await writer.more(theirs)
        assert replica.info("role") == "master"
        assert sum(writer.unknown[session] for session in others) == 0


async def test_slot_moves_under_writes_without_an_outcome_that_is_unknown(
    redis_cluster: RedisCluster,
) -> None:
    """Key by key; left in the middle for a while, in which both nodes have keys of it."""
    async with router_over(redis_cluster) as router, writing(router) as writer:
        source = redis_cluster.owner("{s0}")
        target = next(node for node in redis_cluster.nodes[:3] if node is not source)
        slot = key_slot(b"s0")
        for i in range(10):
            source.do("SET", key_of("s0", f"other-{i}"), i)
        redis_cluster.begin_move(slot, source, target)
        redis_cluster.move_keys(slot, source, target, 5)
        await writer.more(["s0"])
        names = [key_of("s0", f"other-{i}") for i in range(10)]
        found = await router.run_each([("GET", name) for name in names])
        assert [int(value) for value in found] == list(range(10))
        assert await router.run_each([("SET", key_of("s0", "new"), "x")]) == [b"OK"]

        redis_cluster.end_move(slot, source, target)
        await writer.more(["s0"])
        assert redis_cluster.owner("{s0}") is target
    assert writer.unknown.total() == 0


async def test_scripts_that_a_node_has_forgotten_are_loaded_there(
    redis_cluster: RedisCluster,
) -> None:
    """Every node, in one call; also where a script runs behind ASKING."""
    source = redis_cluster.owner("{s0}")
    target = next(node for node in redis_cluster.nodes[:3] if node is not source)
    calls = [
        SCRIPTS.hint.call(HintName(key_of(session, "hint")), "x", delay_ms=0, ttl_s=600)
        for session in SESSIONS
    ]
    async with router_over(redis_cluster) as router:
        assert all(isinstance(reply, int) for reply in await router.run_each(calls))
        redis_cluster.begin_move(key_slot(b"s0"), source, target)
        redis_cluster.move_keys(key_slot(b"s0"), source, target, 100)
        for node in redis_cluster.nodes[:3]:
            node.do("SCRIPT", "FLUSH")
        assert all(isinstance(reply, int) for reply in await router.run_each(calls))
        assert target.do("SCRIPT", "EXISTS", SCRIPTS.hint.sha) == [True]
