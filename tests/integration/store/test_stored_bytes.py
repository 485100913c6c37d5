"""Bytes of sessions, as Redis measures them: counted for who began them, and given back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.ids import SessionId
from midstream.store.redis.limits import Take
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import StoreSettings
from tests.integration.store.scenario import SESSION, batch, close, message, opened, submit

if TYPE_CHECKING:
    import redis as redis_py

pytestmark = pytest.mark.anyio

ANN, BOB = "user:/ann", "user:/bob"
OTHER = SessionId("other")


def stored(raw_redis: redis_py.Redis, scope: str = ANN) -> int:
    """Return how many bytes are counted in a scope."""
    return int(raw_redis.hget(f"ms:limit:{{{scope}}}:sizes", "") or 0)


async def limit_of(store: RedisStore, scope: str, most: int) -> str:
    """Return the limit that a send in the scope reaches, if any."""
    wanted = Take(scope=scope, send="s", stream="", run="r", size="r 1", stored_bytes=most)
    ((taken,),) = await store.limits.take([[wanted]], 1_000)
    return taken.reached


async def test_session_counts_with_what_redis_keeps_of_it(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """Counted again, it is as much; grown, it is more."""
    await opened(store)
    await store.limits.stored.count(SESSION, [ANN])
    small = stored(raw_redis)
    keys = [f"ms:{{{SESSION}}}:{name}" for name in ("meta", "runs", "msg", "req", "log")]
    assert small == sum(raw_redis.memory_usage(key, samples=0) or 0 for key in keys)

    await store.limits.stored.count(SESSION, [ANN])
    assert stored(raw_redis) == small
    await store.append([batch(0, 2)])
    await store.close_run(close(2, answer=message("a-r1", "u1", "x" * 1000)))
    await store.limits.stored.count(SESSION, [ANN])
    assert stored(raw_redis) > small
    assert await limit_of(store, ANN, stored(raw_redis)) == "stored_bytes"
    assert await limit_of(store, ANN, stored(raw_redis) + 1) == ""


async def test_session_counts_for_who_began_it(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """Other writers do not pay for it."""
    await opened(store)
    await store.limits.stored.count(SESSION)
    assert stored(raw_redis) == 0
    await store.limits.stored.count(SESSION, [ANN, "tenant:t"])
    await store.limits.stored.count(SESSION, [BOB])
    assert stored(raw_redis) == stored(raw_redis, "tenant:t") > 0
    assert stored(raw_redis, BOB) == 0


async def test_erased_session_gives_its_bytes_back(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """And those of the others stay."""
    await opened(store)
    await store.limits.stored.count(SESSION, [ANN])
    alone = stored(raw_redis)
    await store.open_run(submit(session=OTHER))
    await store.limits.stored.count(OTHER, [ANN])
    assert stored(raw_redis) > alone

    await store.erase(OTHER)
    await store.limits.stored.count(OTHER)
    assert stored(raw_redis) == alone
    await store.erase(SESSION)
    await store.limits.stored.count(SESSION)
    assert not raw_redis.keys("ms:limit:*")
    assert not raw_redis.keys("*:paid")


async def test_bytes_expire_with_what_they_count(redis_url: str, raw_redis: redis_py.Redis) -> None:
    """The log after the reconnect window, the rest with the session, without anybody's doing."""
    settings = StoreSettings(session_ttl_s=3.0, reconnect_window_s=0.05)
    async with RedisStore.connect(redis_url, settings=settings) as store:
        await opened(store)
        await store.limits.stored.count(SESSION, [ANN])
        whole = stored(raw_redis)
        while await limit_of(store, ANN, whole) != "":  # noqa: ASYNC110 - Redis's clock
            await asyncio.sleep(0.01)
        assert 0 < stored(raw_redis) < whole
        while raw_redis.keys("ms:limit:*:s[ti][oz]*"):  # noqa: ASYNC110 - Redis's clock
            await asyncio.sleep(0.05)


async def test_lost_key_of_a_count_does_not_refuse_for_ever(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """A Redis that evicts takes one of two."""
    await opened(store)
    await store.limits.stored.count(SESSION, [ANN])
    raw_redis.delete(f"ms:limit:{{{ANN}}}:stored")
    assert await limit_of(store, ANN, 1) == ""
