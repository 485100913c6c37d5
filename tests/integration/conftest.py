"""A real redis-server for each worker, and a store on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from midstream.store.redis.store import RedisStore
from midstream.store.server.embedded import EmbeddedRedis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The worker's server; `no` fsync, as no test cuts the power."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), appendfsync="no") as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The address of the worker's server."""
    return redis_server.url


@pytest.fixture
def raw_redis(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client, to look behind the store's back."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def no_key_without_ttl(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with an empty Redis, and leaves no key that would stay for ever."""
    if "redis_url" not in request.fixturenames:
        yield
        return
    with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        client.flushall()
        yield
        immortal = [key for key in client.scan_iter() if client.ttl(key) == -1]
    assert immortal == []


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """A store on the worker's server, as one gateway process has it."""
    async with RedisStore.connect(redis_url) as opened:
        yield opened
