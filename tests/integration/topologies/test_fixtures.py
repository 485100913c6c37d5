"""What tests do to a cluster, and to Sentinels, happens: nodes change places, and slots move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from redis.crc import key_slot

if TYPE_CHECKING:
    from tests.support.redis_cluster import ClusterNode, RedisCluster
    from tests.support.redis_sentinels import Sentinels


KEYS = [f"{{session}}{i}" for i in range(10)]
SLOT = key_slot(b"session")


def write(node: ClusterNode) -> None:
    for key in KEYS:
        node.do("SET", key, "written")


def read(node: ClusterNode) -> set[bytes]:
    return {node.do("GET", key) for key in KEYS}


def test_replica_has_the_data_when_it_takes_over(redis_cluster: RedisCluster) -> None:
    """Once as for planned work, and once because its primary was killed."""
    first = redis_cluster.owner("{session}")
    write(first)
    second = redis_cluster.failover(first)
    assert redis_cluster.owner("{session}") is second
    assert read(second) == {b"written"}

    assert redis_cluster.kill(second) is first
    assert read(first) == {b"written"}
    first.do("SET", KEYS[0], "written")


def test_slot_moves_key_by_key(redis_cluster: RedisCluster) -> None:
    """A slot that is left migrating has keys on both nodes, and sends clients over by ASK."""
    source = redis_cluster.owner("{session}")
    target = next(node for node in redis_cluster.nodes[:3] if node is not source)
    write(source)

    redis_cluster.begin_move(SLOT, source, target)
    assert redis_cluster.move_keys(SLOT, source, target, 5) == 5
    with pytest.raises(redis.exceptions.TryAgainError):
        source.do("MGET", *KEYS)
    with pytest.raises(redis.exceptions.AskError):
        source.do("GET", "{session} that is nowhere")

    redis_cluster.end_move(SLOT, source, target)
    assert redis_cluster.owner("{session}") is target
    assert read(target) == {b"written"}
    with pytest.raises(redis.exceptions.MovedError):
        source.do("GET", KEYS[0])


def test_sentinels_replace_a_primary_that_is_killed(sentinels: Sentinels) -> None:
    """By a replica that has its data; all three name it."""
    first = sentinels.primary
    first.client.set("key", "written")
    first.client.wait(2, 20_000)
    second = sentinels.kill_primary()
    assert second is not first
    assert second.client.get("key") == b"written"
    second.client.set("key", "again")


def test_sentinels_replace_a_primary_for_planned_work(sentinels: Sentinels) -> None:
    """It stays, as a replica of its replica."""
    first = sentinels.primary
    second = sentinels.failover()
    assert second is not first
    assert second.role == "master"
