"""What nodes of a cluster do to answers under way: nothing is lost or doubled, others do not wait.

Each talk is written at one gateway and read there and at another; `talking` compares at its end.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from midstream.errors import StoreUnavailableError
from midstream.ids import SessionId
from midstream.store.redis.store import RedisStore
from tests.integration.store.scenario import OWNER, opened, submit

from .talks import SETTINGS, talking

if TYPE_CHECKING:
    from tests.support.redis_cluster import RedisCluster

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_killed_primary_holds_up_its_own_sessions_until_its_replica_takes_over(
    redis_cluster: RedisCluster,
) -> None:
    """Those of others go on before it does. Without a replica's consent it never would."""
    async with talking(redis_cluster.url) as talks:
        lost = redis_cluster.owner("{chat-0}")
        theirs = talks.at(redis_cluster, lost)
        others = [talk for talk in talks.all if talk not in theirs]
        replica = redis_cluster.replica_of(lost)
        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        lost.kill()
        await talks.more(others, 30)
        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "no")
        await talks.more(theirs)
        assert replica.info("role") == "master"


async def test_planned_failover_and_a_slot_that_moves_cost_nothing(
    redis_cluster: RedisCluster,
) -> None:
    """The slot is left in the middle for a while, with keys of a session on both nodes."""
    async with talking(redis_cluster.url) as talks:
        first = redis_cluster.owner("{chat-0}")
        await asyncio.to_thread(redis_cluster.failover, first)
        await talks.more()

        source = redis_cluster.owner("{chat-0}")
        target = next(node for node in redis_cluster.primaries if node is not source)
        slot = key_slot(b"chat-0")
        others = [talk for talk in talks.all if talk.session != "chat-0"]
        redis_cluster.begin_move(slot, source, target)
        redis_cluster.move_keys(slot, source, target, 1)
        await talks.more(others, 30)
        redis_cluster.end_move(slot, source, target)
        await talks.more()
        assert redis_cluster.owner("{chat-0}") is target


async def test_list_leaves_out_what_is_on_a_shard_that_is_away(redis_cluster: RedisCluster) -> None:
    """It says so; and nothing is taken for gone: all are there again when the shard is."""
    names = {SessionId(f"chat-{number}") for number in range(9)}
    async with RedisStore.connect(redis_cluster.url, settings=SETTINGS) as store:
        for name in names:
            await opened(store, submit(session=name))
        whole = await store.list_sessions(OWNER, limit=20, before_ms=None)
        assert ({meta.id for meta in whole}, whole.is_whole) == (names, True)

        index = redis_cluster.owner(f"{{{OWNER}}}")
        lost = next(node for node in redis_cluster.primaries if node is not index)
        theirs = {name for name in names if redis_cluster.owner(f"{{{name}}}") is lost}
        replica = redis_cluster.replica_of(lost)
        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        lost.do("WAIT", 1, 30_000)
        lost.kill()
        part = await store.list_sessions(OWNER, limit=20, before_ms=None)
        assert theirs
        assert ({meta.id for meta in part}, part.is_whole) == (names - theirs, False)

        replica.do("CONFIG", "SET", "cluster-replica-no-failover", "no")
        await until_whole(store, names)


async def until_whole(store: RedisStore, names: set[SessionId]) -> None:
    """Wait until all are listed."""
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreUnavailableError):
                found = await store.list_sessions(OWNER, limit=20, before_ms=None)
                if found.is_whole:
                    break
                await store.ping()
            await asyncio.sleep(0.1)
    assert {meta.id for meta in found} == names


@pytest.mark.release
async def test_frozen_primary_holds_up_its_own_sessions_alone(redis_cluster: RedisCluster) -> None:
    """It keeps its connections, and answers nothing: as one behind a network that is cut."""
    async with talking(redis_cluster.url) as talks:
        lost = redis_cluster.owner("{chat-0}")
        theirs = talks.at(redis_cluster, lost)
        others = [talk for talk in talks.all if talk not in theirs]
        redis_cluster.replica_of(lost).do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        lost.freeze()
        await talks.more(others, 30)
        lost.thaw()
        await talks.more(theirs)


@pytest.mark.release
async def test_restarted_primary_that_forgot_its_scripts_goes_on(
    redis_cluster: RedisCluster,
) -> None:
    """It is back before its replica takes over, with what it had acknowledged."""
    async with talking(redis_cluster.url) as talks:
        node = redis_cluster.owner("{chat-0}")
        node.write_through()
        redis_cluster.replica_of(node).do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        await talks.more()
        node.kill()
        await asyncio.to_thread(node.start)
        await talks.more()


@pytest.mark.release
async def test_primary_with_too_few_replicas_is_waited_for(redis_cluster: RedisCluster) -> None:
    """NOREPLICAS is a reason to send the same again; others do not wait."""
    async with talking(redis_cluster.url) as talks:
        node = redis_cluster.owner("{chat-0}")
        theirs = talks.at(redis_cluster, node)
        others = [talk for talk in talks.all if talk not in theirs]
        node.do("CONFIG", "SET", "min-replicas-to-write", 3)
        await talks.more(others, 100)
        node.do("CONFIG", "SET", "min-replicas-to-write", 0)
        await talks.more(theirs)


@pytest.mark.release
async def test_slots_that_move_at_once_cost_nothing(redis_cluster: RedisCluster) -> None:
    """Valkey 9 moves them as a whole, with what is written meanwhile."""
    source = redis_cluster.owner("{chat-0}")
    if "valkey_version" not in source.client.info("server"):
        pytest.skip("only Valkey 9 has CLUSTER MIGRATESLOTS")
    target = next(node for node in redis_cluster.primaries if node is not source)
    slot = key_slot(b"chat-0")
    async with talking(redis_cluster.url) as talks:
        source.do("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        while redis_cluster.owner("{chat-0}") is not target:
            await talks.more(chunks=1)
        await talks.more()


@pytest.mark.release
async def test_url_of_replicas_alone_leads_to_the_primaries(redis_cluster: RedisCluster) -> None:
    """Any node names the others."""
    seeds = ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes[3:])
    async with talking(f"redis+cluster://{seeds}", 3):
        pass
