"""The state that is kept of a run for the process that resumes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.ids import RunId
from midstream.store.calls import Recalled

from .scenario import EXPIRED, HOUR_MS, SESSION, close, key, opened, submit

if TYPE_CHECKING:
    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

RUN = RunId("r1")
FACTS = b'{"user":"ada","body":{"a":"\\n"}}'


async def test_next_producer_recalls_what_the_first_remembered(store: RedisStore) -> None:
    """The facts of the open and the last point, after a take-over, under the new fence alone."""
    await opened(store, msgspec.structs.replace(submit(lease_ms=EXPIRED), facts=FACTS))
    assert await store.remember(key(), b"one")
    assert await store.remember(key(), b"two\n\x00")
    assert await store.take_over(SESSION, RUN, HOUR_MS) is not None

    assert await store.recall(key(fence=2)) == Recalled(facts=FACTS, point=b"two\n\x00")
    assert await store.recall(key()) is None


async def test_fenced_producer_remembers_nothing(store: RedisStore) -> None:
    """A point after the take-over does not reach the next producer."""
    await opened(store, submit(lease_ms=EXPIRED))
    await store.take_over(SESSION, RUN, HOUR_MS)

    assert not await store.remember(key(), b"late")
    assert await store.recall(key(fence=2)) == Recalled(facts=b"", point=b"")


async def test_ended_run_keeps_nothing(store: RedisStore) -> None:
    """Facts and point are gone with the terminal, and the next run does not inherit them."""
    await opened(store, msgspec.structs.replace(submit(), facts=FACTS))
    await store.remember(key(), b"point")
    await store.close_run(close(0))
    assert await store.recall(key()) is None
    assert not await store.remember(key(), b"late")

    await opened(store, submit("u2", "r2", parent="a-r1"))

    assert await store.recall(key("r2")) == Recalled(facts=b"", point=b"")


async def test_released_run_is_anybodys_at_once(store: RedisStore) -> None:
    """Its lease ends before its time, and the hint says so; its producer is fenced after."""
    await opened(store)
    assert await store.take_over(SESSION, RUN, HOUR_MS) is None

    assert await store.release(key())

    assert await store.expired_leases(10) == [(SESSION, RUN)]
    taken = await store.take_over(SESSION, RUN, HOUR_MS)
    assert taken is not None
    assert taken.key == key(fence=2)
    assert not await store.release(key())
