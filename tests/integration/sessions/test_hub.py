"""What a process's hub leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from midstream.ids import SessionId
from midstream.sessions.log.hub import Hub
from midstream.store.redis_store import RedisStore

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")


async def test_hub_that_ends_no_longer_reads_the_log(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a reader that is still attached: the store is about to be closed."""
    reading = asyncio.Event()

    async def load(_: RedisStore, __: SessionId) -> None:
        reading.set()
        await asyncio.Event().wait()

    hub = Hub(store, tick_s=1)
    listening = asyncio.create_task(hub.run())
    await hub.ready()
    async with hub.attach(S) as feed:
        monkeypatch.setattr(RedisStore, "load", load)
        feed.check()
        await reading.wait()
        listening.cancel()
        await asyncio.wait({listening})
        left = [task.get_name() for task in asyncio.all_tasks()]

    assert f"catch-up {S}" not in left
