"""Fixtures of the tests of one server that run on a primary behind Sentinels as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.redis_kinds import clustered
from tests.support.redis_sentinels import Sentinels
from tests.support.topologies import each_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import ModuleType

    import redis


def those_of(
    *modules: ModuleType, without: Collection[str] = ()
) -> dict[str, Callable[..., object]]:
    """Return the tests of other modules, by name, to run them with the fixtures here."""
    found = [(name, vars(each)[name]) for each in modules for name in vars(each)]
    tests = [(name, test) for name, test in found if name.startswith("test_")]
    assert len({name for name, _ in tests}) == len(tests), "no name hides another"
    assert {name for name, _ in tests} >= set(without)
    return {name: test for name, test in tests if name not in without}


@pytest.fixture(scope="module", params=each_kind(clustered()))
def behind_sentinels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sentinels]:
    """Servers of each kind, for all tests."""
    made = Sentinels(tmp_path_factory.mktemp("sentinels"), request.param, down_after_ms=60_000)
    yield made
    made.end()


@pytest.fixture(scope="module")
def redis_url(behind_sentinels: Sentinels) -> str:
    """As a gateway is told."""
    return behind_sentinels.url


@pytest.fixture
def raw_redis(behind_sentinels: Sentinels) -> redis.Redis:
    """The primary's own."""
    return behind_sentinels.primary.client


@pytest.fixture(autouse=True)
def no_key_without_ttl(raw_redis: redis.Redis) -> Iterator[None]:
    """As for one server."""
    raw_redis.flushall()
    yield
    assert [key for key in raw_redis.scan_iter() if raw_redis.ttl(key) == -1] == []
