"""A limit on each of many waits."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Final

import pytest

from midstream.aio.idle_timeout import IdleTimeout

pytestmark = pytest.mark.anyio

LIMIT_S: Final = 0.01


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of these tests."""
    return "asyncio"


async def test_wait_over_the_limit_is_ended() -> None:
    """With a TimeoutError, and the task is not cancelled for anything after it."""
    with closing(IdleTimeout(0.01).waiter()) as waiter:
        for _ in range(2):
            with pytest.raises(TimeoutError), waiter:
                await asyncio.Event().wait()
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, also of the event loop and its timers."""
    clock = Clock()
    monkeypatch.setattr("midstream.aio.idle_timeout.time.monotonic", lambda: clock.now)
    return clock


class Clock:
    now = 0.0

    async def passes(self, seconds: float) -> None:
        """Let time pass, and the timers run that are due then."""
        self.now += seconds
        for _ in range(3):
            await asyncio.sleep(0)


async def test_waits_that_end_in_time_are_left_alone(clock: Clock) -> None:
    """Together they may take longer than the limit: the time of each is its own."""
    with closing(IdleTimeout(LIMIT_S).waiter()) as waiter:
        for _ in range(3):
            with waiter:
                await clock.passes(0.6 * LIMIT_S)


async def test_time_between_waits_does_not_count(clock: Clock) -> None:
    """A slow consumer is not a silent producer."""
    with closing(IdleTimeout(LIMIT_S).waiter()) as waiter:
        with waiter:
            await clock.passes(0.6 * LIMIT_S)
        await clock.passes(3 * LIMIT_S)
        with waiter:
            await clock.passes(0.6 * LIMIT_S)


async def test_cancellation_is_no_timeout() -> None:
    """A stop reaches the waiting task as a cancellation."""

    async def wait() -> None:
        with closing(IdleTimeout(60).waiter()) as waiter, waiter:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waits_may_be_of_several_tasks() -> None:
    """The one that waits when the time is over is the one that is ended."""
    waiter = IdleTimeout(0.02).waiter()

    async def wait(event: asyncio.Event) -> None:
        with waiter:
            await event.wait()

    there = asyncio.Event()
    there.set()
    with closing(waiter):
        await asyncio.create_task(wait(there))
        with pytest.raises(TimeoutError):
            await asyncio.create_task(wait(asyncio.Event()))


async def test_waiters_of_one_limit_are_ended_each_in_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Earlier waits end earlier, and a wait that is done in time stays whole."""
    now = 0.0
    monkeypatch.setattr("midstream.aio.idle_timeout.time.monotonic", lambda: now)
    limit, ended, in_time = IdleTimeout(0.01), [], asyncio.Event()

    async def wait(name: str, event: asyncio.Event) -> None:
        try:
            with closing(limit.waiter()) as waiter, waiter:
                await event.wait()
        except TimeoutError:
            ended.append(name)

    first = asyncio.create_task(wait("first", asyncio.Event()))
    await asyncio.sleep(0)
    now = 0.005
    others = [
        asyncio.create_task(wait("in time", in_time)),
        asyncio.create_task(wait("second", asyncio.Event())),
    ]
    await asyncio.sleep(0)
    now = 0.01
    await first
    assert ended == ["first"]
    in_time.set()
    await others[0]
    now = 0.02
    await others[1]
    assert ended == ["first", "second"]


async def test_task_that_resists_its_end_is_told_once_and_holds_nobody_up() -> None:
    """The others are ended in their turn."""
    limit, told, release = IdleTimeout(0.01), 0, asyncio.Event()

    async def resist() -> None:
        nonlocal told
        with closing(limit.waiter()) as waiter, waiter:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    told += 1

    resisting = asyncio.create_task(resist())
    with closing(limit.waiter()) as waiter:
        for _ in range(3):
            with pytest.raises(TimeoutError), waiter:
                await asyncio.Event().wait()
    release.set()
    await resisting
    assert told == 1
