"""One or two gateways' session layers over one real Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from midstream.sessions import open_sessions
from midstream.store.redis.runs import RunWrites
from midstream.store.redis.store import RedisStore
from tests.support.played import FAST, Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.sessions.service import Sessions


@pytest.fixture
def script() -> Script:
    """The agent of all gateways of a test."""
    return Script()


@pytest.fixture
async def gateways(
    redis_url: str, script: Script
) -> AsyncIterator[Callable[[], Awaitable[Sessions]]]:
    """Opens session layers, each on a store of its own, as processes have them."""
    async with AsyncExitStack() as stack:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Sessions]:
            async with (
                RedisStore.connect(redis_url) as store,
                open_sessions(store, script, FAST) as sessions,
            ):
                yield sessions

        async def another() -> Sessions:
            return await stack.enter_async_context(opened())

        yield another


@pytest.fixture
async def sessions(gateways: Callable[[], Awaitable[Sessions]]) -> Sessions:
    """A gateway's session layer."""
    return await gateways()


@pytest.fixture
async def other(
    gateways: Callable[[], Awaitable[Sessions]], monkeypatch: pytest.MonkeyPatch
) -> Sessions:
    """Another gateway's, which appends by its task alone, as where no connection can be called."""
    with monkeypatch.context() as opening:
        opening.setattr(RunWrites, "append_by_call", lambda *_: False)
        return await gateways()


@pytest.fixture(scope="session", autouse=True)
async def kept_tasks(anyio_backend: str) -> AsyncIterator[None]:
    """Keep each task until it ends, as those of a gateway that a test plays dead.

    An event loop refers to none: they would be collected as garbage in the middle of another test.
    """
    kept: set[asyncio.Task[Any]] = set()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        kept.add(task)
        task.add_done_callback(kept.discard)
        return task

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    yield
    loop.set_task_factory(None)
