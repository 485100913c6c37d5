"""A reader of a run, whatever its sink takes and whenever its task runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from midstream.ids import MessageId
from midstream.protocol.chunks import ErrorChunk, FinishChunk, TextDeltaChunk
from midstream.protocol.codec import decode_lines, encode_lines
from midstream.sessions.draining import Draining
from midstream.sessions.log.readers import LogReader, ReaderLimits
from midstream.sessions.log.run_view import RunView
from midstream.sessions.sentences import (
    ATTEMPT_BEGAN,
    AWAITS_ATTEMPT,
    STILL_WAITING,
    WAIT_ENDED,
    WAITING,
    is_note,
)
from midstream.sessions.types import Idle
from midstream.store.records import ChunksRecord, LoadedRun, LogEntry, RunState
from tests.support.chunk_pages import page_of
from tests.unit.gateway.sessions.log.test_feed import RUN, SESSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.ids import RunId
    from midstream.protocol.batch import ChunkBatch
    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.log.hub import Hub
    from midstream.store.contract import SessionStore
    from midstream.store.records import ChunkPage

TICK = 0


class Run:
    """A run with a store of its own. The text of each chunk is its number."""

    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self.ended = False
        store = cast("SessionStore", self)
        self.view = RunView(store, SESSION, RUN, next_sequence=0, opened="0-0")
        self.count = 0

    async def read_chunks(self, _: object, run_id: RunId, offset: str, *, count: int) -> ChunkPage:
        """See SessionStore."""
        await asyncio.sleep(0)
        return page_of(self._entries[int(offset[:-2]) :], run_id, count)

    async def load_run(self, *_: object) -> LoadedRun:
        """See SessionStore."""
        await asyncio.sleep(0)
        run = replace(RUN, state=RunState.ENDED) if self.ended else RUN
        return LoadedRun(run=run, next=self.count, opened="0-0")

    def lose(self, count: int) -> None:
        """Lose the newest records, as a failover does."""
        del self._entries[len(self._entries) - count :]
        self.count = sum(cast("ChunksRecord", entry.record).count for entry in self._entries)

    def arrive(self, count: int = 1, *, heard: bool = True, text: str = "{}") -> None:
        """Store chunks; if they are not heard, readers have to fetch them."""
        texts = [text.format(self.count + number) for number in range(count)]
        self.store([TextDeltaChunk(id="t", delta=each) for each in texts], heard=heard)

    def store(self, chunks: Sequence[AnyChunk], *, heard: bool = True) -> None:
        """Store chunks."""
        first, count = self.count, len(chunks)
        self.count += count
        record = ChunksRecord(
            run_id=RUN.id, first=first, count=count, level=5, payload=encode_lines(chunks)
        )
        offset = f"{len(self._entries)}-0"
        self._entries.append(LogEntry(offset=offset, previous="", record=record))
        if heard:
            self.view.deliver(offset, record)
        elif self.view.next < self.count:
            self.view.skip_to(self.count)


class Written:
    """A client's response: what the sink wrote, and what the reader's task wrote, in order."""

    def __init__(self, takes: Callable[[], bool]) -> None:
        self.texts: list[str] = []
        self.direct = 0
        self.heartbeats = 0
        self.notes: list[ChunkBatch] = []
        self.is_sending = False
        self._takes = takes

    def sink(self, batch: ChunkBatch) -> bool:
        """Take a batch, unless the client is slow just now."""
        assert not self.is_sending, "a direct write overtakes what the task sends"
        if not self._takes():
            return False
        self.direct += 1
        self._write(batch)
        return True

    async def send_all(self, reader: LogReader) -> None:
        """Write what the reader yields; each write takes a moment."""
        reader.write_to(self.sink)
        async for item in reader:
            self.is_sending = True
            await asyncio.sleep(0)
            if isinstance(item, Idle):
                self.heartbeats += 1
            elif is_note(item):
                self.notes.append(item)
            else:
                self._write(item)
            self.is_sending = False

    def _write(self, batch: ChunkBatch) -> None:
        self.texts += [cast("TextDeltaChunk", c).delta for c in decode_lines(batch.payload)]


def reader_of(view: RunView, cursor: int, limits: ReaderLimits) -> LogReader:
    return LogReader(
        view,
        cursor=cursor,
        first=None,
        hub=cast("Hub", SimpleNamespace(offline_since=lambda _: None)),
        draining=Draining(),
        limits=limits,
        hold=AsyncExitStack(),
    )


@given(
    cursor=st.integers(0, 5),
    events=st.lists(st.tuples(st.integers(TICK, 3), st.integers(0, 3)), max_size=40),
    taking=st.lists(st.booleans(), min_size=1, max_size=8),
    heartbeats=st.booleans(),
    forgets=st.booleans(),
)
def test_reader_writes_each_chunk_once_in_order_whatever_its_sink_takes(
    cursor: int,
    events: Sequence[tuple[int, int]],
    taking: list[bool],
    heartbeats: bool,
    forgets: bool,
) -> None:
    """Between any two turns of the event loop, chunks may come, or a tick, or a gap to catch up.

    Args:
        cursor: how many chunks the client had before.
        events: chunks that come at once (none: a tick), and turns of the loop after that.
        taking: whether the sink takes, over and over.
        heartbeats: each tick makes the reader send one.
        forgets: at each tick, a chunk comes that is not heard of, in its place.
    """

    async def scenario() -> tuple[list[str], int]:
        run = Run()
        run.arrive(5)
        script = iter(taking * 100)
        written = Written(lambda: next(script))
        limits = ReaderLimits(heartbeat_interval_s=0 if heartbeats else 999)
        task = asyncio.create_task(written.send_all(reader_of(run.view, cursor, limits)))
        for count, turns in events:
            for _ in range(turns):
                await asyncio.sleep(0)
            if count != TICK:
                run.arrive(count)
            elif forgets:
                run.arrive(heard=False)
            else:
                run.view.pulse.send()
        run.view.update(replace(RUN, state=RunState.ENDED))
        async with asyncio.timeout(30):
            await task
        return written.texts, run.count

    texts, total = asyncio.run(scenario())
    assert texts == [str(number) for number in range(cursor, total)]


def test_reader_at_the_end_has_its_batches_written_without_a_turn_of_its_task() -> None:
    """So one delivery costs a write a reader, and no more."""

    async def scenario() -> Written:
        run, written = Run(), Written(lambda: True)
        task = asyncio.create_task(written.send_all(reader_of(run.view, 0, ReaderLimits())))
        await asyncio.sleep(0)
        for _ in range(3):
            run.arrive()
        task.cancel()
        return written

    written = asyncio.run(scenario())
    assert (written.texts, written.direct) == (["0", "1", "2"], 3)


def test_heartbeat_is_due_an_interval_after_what_was_written_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after what the reader's task has written."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)

    async def scenario() -> list[int]:
        nonlocal now
        run, written = Run(), Written(lambda: True)
        limits = ReaderLimits(heartbeat_interval_s=10)
        task = asyncio.create_task(written.send_all(reader_of(run.view, 0, limits)))
        seen = []
        for moment in (100, 109, 111, 118, 119):
            await asyncio.sleep(0)
            now = moment
            if moment == 109:
                run.arrive()
            run.view.pulse.send()
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(written.heartbeats)
        task.cancel()
        return seen

    assert asyncio.run(scenario()) == [0, 0, 0, 0, 1]


def lost_to(reader_has: int) -> tuple[Run, LogReader]:
    """A run of ten chunks of which the log has lost five, and a reader that memory cannot serve."""
    run = Run()
    for _ in range(10):
        run.arrive()
    run.view.skip_to(11)
    run.arrive(heard=False)
    run.lose(6)
    reader = reader_of(run.view, reader_has, ReaderLimits())
    return run, reader


@pytest.mark.parametrize("reader_has", [0, 3, 5, 8], ids="has={}".format)
def test_reader_behind_waits_for_what_a_failover_has_lost_until_it_is_appended_again(
    reader_has: int,
) -> None:
    """Its producer lives. What is appended again may be in other records than before."""

    async def scenario() -> list[str]:
        run, reader = lost_to(reader_has)
        written = Written(lambda: True)
        task = asyncio.create_task(written.send_all(reader))
        for _ in range(10):
            await asyncio.sleep(0)
            run.view.pulse.send()
        assert written.texts == [str(number) for number in range(reader_has, 5)]
        run.arrive(4)
        run.arrive(2)
        run.arrive()
        run.view.update(replace(RUN, state=RunState.ENDED))
        async with asyncio.timeout(30):
            await task
        return written.texts

    assert asyncio.run(scenario()) == [str(number) for number in range(reader_has, 12)]


def test_reader_behind_is_told_when_nobody_will_append_what_a_failover_has_lost() -> None:
    """The producer has died, and the run was closed without it."""

    async def scenario() -> tuple[list[str], list[type[AnyChunk]]]:
        run, reader = lost_to(3)
        run.ended = True
        run.view.update(replace(RUN, state=RunState.ENDED))
        chunks: list[AnyChunk] = []
        async with asyncio.timeout(30):
            async for batch in reader:
                assert not isinstance(batch, Idle)
                chunks += decode_lines(batch.payload)
        texts = [chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk)]
        return texts, [type(chunk) for chunk in chunks[-2:]]

    assert asyncio.run(scenario()) == (["3", "4"], [ErrorChunk, FinishChunk])


def test_offset_of_a_lost_record_does_not_hide_what_came_in_its_place() -> None:
    """The new primary's clock may be behind the old one's: then its records have lower offsets."""

    async def scenario() -> list[str]:
        run, _ = lost_to(0)
        run.arrive(6)
        batches = run.view.read_back(8, "10-0")
        return [
            cast("TextDeltaChunk", chunk).delta
            async for _, batch in batches
            for chunk in decode_lines(batch.payload)
        ]

    assert asyncio.run(scenario()) == ["8", "9", "10"]


def test_client_that_has_more_than_the_log_is_waited_with_for_what_is_appended_again() -> None:
    """It resumes where nothing was heard of that yet."""

    async def scenario() -> tuple[bool, bool]:
        run = Run()
        run.arrive(5, heard=False)
        coming = asyncio.create_task(run.view.reach(8, 30))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not coming.done()
        run.arrive(4)
        run.ended = True
        run.view.update(replace(RUN, state=RunState.ENDED))
        return await coming, await run.view.reach(10, 30)

    assert asyncio.run(scenario()) == (True, False)


def test_reader_is_told_of_silence_beside_the_chunks() -> None:
    """Whatever is written next comes in its place, and what was told is taken back."""

    async def scenario() -> Written:
        run, written = Run(), Written(lambda: True)
        run.arrive(2)
        written_by = asyncio.create_task(
            written.send_all(reader_of(run.view, 0, ReaderLimits(heartbeat_interval_s=999)))
        )
        for silent in (True, True, False):
            run.view.set_silent(silent)
            for _ in range(4):
                await asyncio.sleep(0)
        run.arrive()
        run.view.update(replace(RUN, state=RunState.ENDED))
        async with asyncio.timeout(30):
            await written_by
        return written

    written = asyncio.run(scenario())
    assert written.texts == ["0", "1", "2"]
    assert written.notes == [AWAITS_ATTEMPT, ATTEMPT_BEGAN]


WAITS = replace(RUN, state=RunState.WAITING)


def test_reader_is_told_that_its_run_waits_and_when_it_is_claimed() -> None:
    async def scenario() -> list[ChunkBatch]:
        run, written = Run(), Written(lambda: True)
        run.view.update(WAITS)
        task = asyncio.create_task(
            written.send_all(reader_of(run.view, 0, ReaderLimits(heartbeat_interval_s=999)))
        )
        for state in (RunState.WAITING, RunState.OPEN, RunState.WAITING, RunState.ENDED):
            run.view.update(replace(RUN, state=state))
            for _ in range(4):
                await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await task
        return written.notes

    assert asyncio.run(scenario()) == [WAITING, WAIT_ENDED, WAITING]


@pytest.mark.parametrize("ends_by", ["time", "drain", "token", "later message"])
def test_response_ends_before_the_wait_does(ends_by: str) -> None:
    """With a sentence and `finish`: an AI SDK client neither fails nor shows a message."""

    async def scenario() -> list[ChunkBatch | Idle]:
        run, draining = Run(), Draining()
        items: list[ChunkBatch | Idle] = []
        run.view.update(WAITS)
        reader = LogReader(
            run.view,
            cursor=0,
            first=None,
            hub=cast("Hub", SimpleNamespace(offline_since=lambda _: None)),
            draining=draining,
            limits=ReaderLimits(queued_limit_s=0 if ends_by == "time" else 600),
            hold=AsyncExitStack(),
            answers=WAITS.user_message_id,
            expires_at=1.0 if ends_by == "token" else None,
        )
        async with asyncio.timeout(30):
            async for item in reader:
                items.append(item)
                draining.started = ends_by == "drain"
                if ends_by == "later message":
                    run.view.update(replace(WAITS, user_message_id=MessageId("u2")))
                run.view.pulse.send()
        return items

    items = asyncio.run(scenario())
    at_once = ends_by in ("time", "token")
    assert items == ([STILL_WAITING] if at_once else [WAITING, STILL_WAITING])
