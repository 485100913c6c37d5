"""A run whose log has lost what readers have had, and holds something else in its place.

A failover loses acknowledged chunks. A living producer appends them again; if it died too, another
process ends the run, or writes it on, from where the log ends now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from midstream.protocol.chunks import (
    ErrorChunk,
    FinishChunk,
    StartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.codec import decode_lines
from midstream.sessions.log.readers import ReaderLimits
from midstream.sessions.types import Idle
from midstream.store.records import RunState
from tests.unit.gateway.sessions.log.test_feed import RUN
from tests.unit.gateway.sessions.log.test_log_reader import Run, reader_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.batch import ChunkBatch
    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.log.readers import LogReader

pytestmark = pytest.mark.anyio

ENDED = replace(RUN, state=RunState.ENDED)
BEFORE, LOST = 5, 5
SAID = [str(number) for number in range(BEFORE + LOST)]

HOW = pytest.mark.parametrize("how", ["records", "state, then records", "state"])
DIRECT = pytest.mark.parametrize("direct", [True, False], ids=["written directly", "by its task"])
LOST_RECORDS = pytest.mark.parametrize(
    "lost", [(5,), (1, 1, 1, 1, 1), (2, 3)], ids="lost in {}".format
)


class Read:
    """What a reader gets."""

    def __init__(self, reader: LogReader, *, direct: bool = False) -> None:
        self.chunks: list[AnyChunk] = []
        self._reader = reader
        if direct:
            reader.write_to(self._take)
        self._task = asyncio.create_task(self._read())

    def _take(self, batch: ChunkBatch) -> bool:
        self.chunks += decode_lines(batch.payload)
        return True

    async def _read(self) -> None:
        async for item in self._reader:
            if not isinstance(item, Idle):
                self._take(item)

    async def end(self) -> None:
        async with asyncio.timeout(30):
            await self._task

    @property
    def texts(self) -> list[str]:
        return texts_of(self.chunks)

    @property
    def is_told(self) -> bool:
        return [type(chunk) for chunk in self.chunks[-2:]] == [ErrorChunk, FinishChunk]


def texts_of(chunks: Sequence[AnyChunk]) -> list[str]:
    return [chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk)]


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def read_and_lose(lost: Sequence[int], how: str, *, direct: bool) -> tuple[Run, Read]:
    """A reader that has read all of a run, half of which is lost then."""
    run = Run()
    run.arrive(BEFORE)
    read = Read(reader_of(run.view, 0, ReaderLimits()), direct=direct)
    for count in lost:
        await turns()
        run.arrive(count)
    await turns()
    run.lose(len(lost))
    if how == "state, then records":
        run.view.meet_again(RUN, run.count)
        await turns()
    return run, read


def end(run: Run, how: str) -> None:
    run.ended = True
    if how == "state":
        run.view.meet_again(ENDED, run.count)
    else:
        run.view.update(ENDED)


@HOW
@DIRECT
@LOST_RECORDS
@pytest.mark.parametrize("instead", [1, 4, 5, 9], ids="{} come instead".format)
async def test_reader_is_told_when_another_process_ends_a_run_that_has_lost_its_chunks(
    instead: int, lost: Sequence[int], how: str, direct: bool
) -> None:
    """Fewer, as many or more come in their place. Who joins then gets what the log has."""
    run, read = await read_and_lose(lost, how, direct=direct)
    run.arrive(instead, text="another's {}", heard=how != "state")
    end(run, how)
    await read.end()
    late = Read(reader_of(run.view, 0, ReaderLimits()))
    await late.end()

    assert read.texts[: len(SAID)] == SAID
    assert read.is_told
    assert late.texts == [*SAID[:BEFORE], *(f"another's {BEFORE + n}" for n in range(instead))]


@HOW
@DIRECT
@LOST_RECORDS
@pytest.mark.parametrize("again", [(5,), (1, 4), (2, 2, 1), (7,)], ids="again in {}".format)
async def test_reader_goes_on_when_a_living_producer_appends_again_what_was_lost(
    again: Sequence[int], lost: Sequence[int], how: str, direct: bool
) -> None:
    """In other records than before, and with more behind it."""
    run, read = await read_and_lose(lost, how, direct=direct)
    for count in again:
        run.arrive(count, heard=how != "state")
        await turns()
    if how == "state":
        run.view.meet_again(RUN, run.count)
        await turns()
    run.arrive(2)
    end(run, how)
    await read.end()

    assert read.texts == [str(number) for number in range(run.count)]


async def test_state_for_who_joins_late_is_of_the_log_and_not_of_what_it_has_lost() -> None:
    """The message was assembled for another one who joined before."""
    run = Run()
    said = (StartChunk(message_id=RUN.message_id), TextStartChunk(id="t"))
    run.store(said)
    run.arrive(text="lost {}")
    before = await run.view.replay(None)
    run.lose(1)
    run.view.meet_again(RUN, run.count)
    run.arrive(text="kept {}", heard=False)
    run.view.meet_again(RUN, run.count)
    after = await run.view.replay(None)

    assert texts_of(decode_lines(before.payload)) == ["lost 2"]
    assert texts_of(decode_lines(after.payload)) == ["kept 2"]


async def test_reader_that_is_told_of_a_loss_has_its_open_parts_closed() -> None:
    """What it has had of the answer stays on the screen, and is not shown as growing."""
    run = Run()
    run.store([StartChunk(message_id=RUN.message_id), TextStartChunk(id="t")])
    run.arrive(5)
    read = Read(reader_of(run.view, 0, ReaderLimits()))
    await turns()
    run.lose(1)
    run.arrive(1, text="another's {}")
    await read.end()

    assert [type(chunk) for chunk in read.chunks[-3:]] == [TextEndChunk, ErrorChunk, FinishChunk]


async def test_run_that_goes_on_after_a_loss_is_read_by_those_who_come_later() -> None:
    """Another process resumes it; who had the lost chunks is told, and may come back."""
    run, read = await read_and_lose((1, 1, 1, 1, 1), "state, then records", direct=False)
    run.arrive(7, text="another's {}")
    await read.end()
    again = Read(reader_of(run.view, 0, ReaderLimits()))
    run.arrive(text="another's {}")
    end(run, "records")
    await again.end()

    assert read.is_told
    assert again.texts == [*SAID[:BEFORE], *(f"another's {BEFORE + n}" for n in range(8))]
