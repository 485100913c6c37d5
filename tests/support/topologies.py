"""Fixtures of servers beyond one: a cluster, and Sentinels. Conftests import what they use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.redis_cluster import RedisCluster
from tests.support.redis_kinds import Kind, clustered
from tests.support.redis_sentinels import Sentinels

if TYPE_CHECKING:
    from collections.abc import Iterator


def each_kind(kinds: list[Kind]) -> list[object]:
    """Return parameters for a fixture: the first kind always, the others in `make all`."""
    first, *others = kinds
    return [
        pytest.param(first, id=first.name),
        *(pytest.param(kind, id=kind.name, marks=pytest.mark.release) for kind in others),
    ]


@pytest.fixture(params=each_kind(clustered()))
def redis_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    """A cluster for one test, of each kind of server that can be one."""
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"), request.param)
    yield cluster
    cluster.end()


@pytest.fixture(params=each_kind(clustered()))
def sentinels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sentinels]:
    """Sentinels for one test, over each kind of server."""
    made = Sentinels(tmp_path_factory.mktemp("sentinels"), request.param)
    yield made
    made.end()
