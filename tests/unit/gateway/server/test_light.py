"""Light parts of a connection: they do what uvicorn's own do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from midstream.server.light import LightEvent, LightFlow, Pipeline
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("make", [asyncio.Event, LightEvent])
def test_event_wakes_all_that_wait_even_if_it_is_cleared_at_once(
    make: Callable[[], asyncio.Event],
) -> None:
    """As `receive` and `send` use it: set wakes, clear makes the next one wait."""

    async def run() -> None:
        event = make()
        waiting = [asyncio.create_task(event.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        event.set()
        event.clear()
        assert await asyncio.gather(*waiting) == [True, True]

        later = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        assert not event.is_set()
        assert not later.done()
        event.set()
        assert await later
        assert await event.wait()

    asyncio.run(run())


def test_cancelled_wait_leaves_the_others_waiting() -> None:
    """A client that leaves takes nobody's wake-up along."""

    async def run() -> None:
        event = LightEvent()
        one, other = (asyncio.create_task(event.wait()) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.wait({one})
        event.set()

        assert one.cancelled()
        assert await other

    asyncio.run(run())


class _Transport:
    def __init__(self) -> None:
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


@pytest.mark.parametrize("make", [FlowControl, LightFlow])
def test_flow_lets_a_writer_wait_until_the_client_reads(
    make: Callable[[asyncio.Transport], FlowControl],
) -> None:
    """A writer waits from `pause_writing` to `resume_writing`; reading is paused apart from it."""

    async def run() -> None:
        transport = _Transport()
        flow = make(cast("asyncio.Transport", transport))
        await flow.drain()
        flow.pause_writing()
        writer = asyncio.create_task(flow.drain())
        await asyncio.sleep(0)
        assert flow.write_paused
        assert not writer.done()
        flow.pause_reading()
        assert not transport.reads
        flow.resume_reading()
        assert transport.reads
        flow.resume_writing()
        await eventually(writer.done, "the writer goes on")
        assert not flow.write_paused

    asyncio.run(run())


def test_pipeline_gives_the_oldest_request_first() -> None:
    """`appendleft` and `pop` are a queue, as of uvicorn's deque."""
    pipeline = Pipeline()
    pipeline.appendleft("first")
    pipeline.appendleft("second")

    assert [pipeline.pop(), pipeline.pop()] == ["first", "second"]
    assert not pipeline
