"""A process's hub leaves nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from midstream.ids import SessionId
from midstream.sessions.log.feed import Feed
from midstream.sessions.log.hub import AUDIT_SHARES, Hub

if TYPE_CHECKING:
    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")


async def test_hub_that_ends_no_longer_reads_the_log(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a reader that is still attached: the store is about to be closed."""
    reading = asyncio.Event()

    async def load(_: SessionId) -> None:
        reading.set()
        await asyncio.Event().wait()

    hub = Hub(store, tick_s=1)
    listening = asyncio.create_task(hub.run())
    await hub.ready()
    async with hub.attach(S) as feed:
        monkeypatch.setattr(store, "load", load)
        feed.check()
        await reading.wait()
        listening.cancel()
        await asyncio.wait({listening})
        left = [task.get_name() for task in asyncio.all_tasks()]

    assert f"catch-up {S}" not in left


async def test_audit_looks_at_each_feed_once_though_others_come_and_go(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed that waits for lost events does not wait for a second round."""
    looked: list[SessionId] = []
    monkeypatch.setattr("midstream.sessions.log.hub.AUDIT_INTERVAL_S", 3600)  # no other rounds
    hub = Hub(store, tick_s=1)
    listening = asyncio.create_task(hub.run())
    await hub.ready()
    async with AsyncExitStack() as those_who_stay, AsyncExitStack() as those_who_leave:
        stay = [SessionId(f"stays-{i}") for i in range(AUDIT_SHARES)]
        for i, session in enumerate(stay):
            leaves = SessionId(f"leaves-{i}")
            await those_who_leave.enter_async_context(hub.attach(leaves))
            await those_who_stay.enter_async_context(hub.attach(session))
        with monkeypatch.context() as noting:
            noting.setattr(Feed, "check", lambda feed: looked.append(feed.session_id))
            for share in range(AUDIT_SHARES):
                hub._check(share)
                await hub.release(SessionId(f"leaves-{share}"))
                await hub.acquire(SessionId(f"leaves-{share}"))
    listening.cancel()
    await asyncio.wait({listening})

    assert [session for session in sorted(looked) if session in stay] == sorted(stay)
