"""How a proxied run's chunks come to its producer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.errors import IllegalChunkError
from midstream.sessions.proxied.outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

pytestmark = pytest.mark.anyio


class Taking:
    """A producer: takes chunks until it is full, or has something to raise."""

    def __init__(self) -> None:
        self.taken: list[AnyChunk] = []
        self.limit = 100
        self.raises: BaseException | None = None
        self.has_room = asyncio.Event()

    def take(self, chunks: Sequence[AnyChunk]) -> bool:
        if self.raises is not None:
            raise self.raises
        self.taken += chunks
        return len(self.taken) >= self.limit

    async def room(self) -> None:
        await self.has_room.wait()


def words(*numbers: int) -> list[AnyChunk]:
    return [TextDeltaChunk(id="1", delta=str(number)) for number in numbers]


async def waiting(outlet: Outlet, taking: Taking) -> asyncio.Task[Sequence[AnyChunk]]:
    """Begin to wait for chunks, and return once that waits."""
    task = asyncio.create_task(outlet.next(taking))
    await asyncio.sleep(0)
    return task


async def test_chunks_go_by_call_while_the_producer_waits_and_are_kept_while_it_does_not() -> None:
    outlet, taking = Outlet(), Taking()
    outlet.put(words(0), 5)
    outlet.put(words(1), 5)
    assert outlet.waiting_bytes == 10
    assert await outlet.next(taking) == words(0, 1)
    task = await waiting(outlet, taking)
    outlet.put(words(2), 5)
    outlet.put(words(3), 5)
    assert taking.taken == words(2, 3)
    assert outlet.waiting_bytes == 0
    outlet.end()
    assert await task == []


async def test_what_comes_before_the_producer_has_room_again_follows_in_order() -> None:
    outlet, taking = Outlet(), Taking()
    taking.limit = 1
    task = await waiting(outlet, taking)
    outlet.put(words(0))
    outlet.put(words(1))
    await asyncio.sleep(0)
    outlet.put(words(2))
    assert not task.done()
    taking.has_room.set()
    assert taking.taken == words(0)
    assert await task == words(1, 2)


async def test_what_has_come_before_the_end_is_not_lost() -> None:
    outlet, taking = Outlet(), Taking()
    outlet.put(words(0))
    outlet.end()
    assert await outlet.next(taking) == words(0)
    assert await outlet.next(taking) == []


async def test_error_of_the_producer_ends_the_wait_with_it() -> None:
    outlet, taking = Outlet(), Taking()
    task = await waiting(outlet, taking)
    taking.raises = IllegalChunkError("unable to write this")
    outlet.put(words(0))
    with pytest.raises(IllegalChunkError):
        await task


async def test_producer_that_is_cancelled_gets_nothing_more() -> None:
    outlet, taking = Outlet(), Taking()
    task = await waiting(outlet, taking)
    taking.raises = asyncio.CancelledError()
    outlet.put(words(0))
    outlet.put(words(1), 7)
    assert outlet.waiting_bytes == 7
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    outlet.close()
    await outlet.handed()
    assert taking.taken == []


async def test_all_is_handed_once_the_producer_waits_for_more() -> None:
    outlet, taking = Outlet(), Taking()
    outlet.put(words(0))
    handed = asyncio.create_task(outlet.handed())
    await asyncio.sleep(0)
    assert not handed.done()
    await outlet.next(taking)
    task = await waiting(outlet, taking)
    await handed
    outlet.end()
    await task
