"""A limit on each of many waits."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from gateway.providers.silence import SilenceLimit

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of these tests."""
    return "asyncio"


async def test_wait_over_the_limit_is_ended() -> None:
    """With a TimeoutError, and the task is not cancelled for anything after it."""
    with closing(SilenceLimit(0.01)) as limit:
        for _ in range(2):
            with pytest.raises(TimeoutError), limit:
                await asyncio.Event().wait()
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_waits_that_end_in_time_are_left_alone() -> None:
    """Together they may take longer than the limit: the timer starts anew with each."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.1
    waits = 0
    with closing(SilenceLimit(0.05)) as limit:
        while loop.time() < until:
            with limit:
                await asyncio.sleep(0)
            waits += 1
    assert waits > 2


async def test_time_between_waits_does_not_count() -> None:
    """Who takes long over what it was given is not silent."""
    with closing(SilenceLimit(0.01)) as limit:
        with limit:
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
        with limit:
            await asyncio.sleep(0)


async def test_cancellation_is_no_timeout() -> None:
    """A stop reaches who waits as what it is."""
    limit = SilenceLimit(60)

    async def wait() -> None:
        with closing(limit), limit:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waits_may_be_of_several_tasks() -> None:
    """The one that waits when the time is over is the one that is ended."""
    limit = SilenceLimit(0.02)

    async def wait(event: asyncio.Event) -> None:
        with limit:
            await event.wait()

    there = asyncio.Event()
    there.set()
    with closing(limit):
        await asyncio.create_task(wait(there))
        with pytest.raises(TimeoutError):
            await asyncio.create_task(wait(asyncio.Event()))
