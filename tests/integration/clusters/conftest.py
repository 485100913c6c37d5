"""The suites of the store and of the sessions, over a cluster: the fixtures that make it one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.cluster import RedisCluster as Client

from tests.integration.sessions.conftest import gateways, other, script, sessions
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_kinds import clustered
from tests.support.topologies import each_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gateways", "other", "script", "sessions"]


@pytest.fixture(scope="session", params=each_kind(clustered()))
def shards(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    """Three primaries for the worker; do not break them."""
    made = RedisCluster(tmp_path_factory.mktemp("shards"), request.param, replicas=0)
    yield made
    made.end()


@pytest.fixture(scope="session")
def redis_url(shards: RedisCluster) -> str:
    """The cluster's URL."""
    return shards.url


class Plain(Client):
    """A plain client, whose settings are those of all nodes."""

    def config_set(self, name: str, value: str | int) -> object:  # type: ignore[override]
        """Set it at each primary."""
        return super().config_set(name, value, target_nodes=Client.PRIMARIES)


@pytest.fixture
def raw_redis(shards: RedisCluster) -> Iterator[Client]:
    """A plain client, to look behind the store's back."""
    host, port = shards.addresses[0]
    client = Plain(host=host, port=port)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def no_key_without_ttl(shards: RedisCluster) -> Iterator[None]:
    """Each test begins with an empty cluster, and leaves no key that would stay for ever."""
    for node in shards.nodes:
        node.client.flushall()
    yield
    immortal = [
        key
        for node in shards.nodes
        for key in node.client.scan_iter()
        if node.client.ttl(key) == -1
    ]
    assert immortal == []
