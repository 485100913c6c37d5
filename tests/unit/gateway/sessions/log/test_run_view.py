"""A run as a process follows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import pytest

from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FinishChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    StartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputDeltaChunk,
    ToolInputStartChunk,
)
from midstream.protocol.codec import decode_lines, encode_lines
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.log.live_runs import LiveRuns
from midstream.sessions.log.run_view import RunView
from midstream.store.records import ChunksRecord
from tests.unit.gateway.sessions.log.test_feed import RUN, SESSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.contract import SessionStore


def deliver(log: RunView, *chunks: AnyChunk) -> None:
    """Have the log hear of a record."""
    record = ChunksRecord(
        run_id=RUN.id,
        first=log.next,
        count=len(chunks),
        level=5,
        payload=encode_lines(chunks),
    )
    log.deliver(f"{log.next + 1}-0", record)


def test_state_of_a_run_tells_of_its_end_once_its_chunks_are_there() -> None:
    """A reader that joins between a run's last chunks and its end record gets the outcome."""
    store = cast("SessionStore", None)  # all is in memory
    log = RunView(store, SESSION, RUN, next_sequence=0, opened="0-0")
    writer = ChunkWriter(RUN.message_id)
    said = [StartChunk(message_id=RUN.message_id), TextStartChunk(id="t")]
    for chunk in said:
        writer.write(chunk)
    deliver(log, *said)
    before = decode_lines(asyncio.run(log.replay(None)).payload)
    deliver(log, *writer.abort())
    state = asyncio.run(log.replay(None))

    assert not [chunk for chunk in before if isinstance(chunk, AbortChunk | FinishChunk)]
    assert not log.ended
    assert state.last == log.next - 1
    assert [type(chunk) for chunk in decode_lines(state.payload)[-2:]] == [AbortChunk, FinishChunk]


class Producing:
    """A producer that has committed the first `count` of the run's chunks."""

    fenced_off = False

    def __init__(self, chunks: Sequence[AnyChunk], count: int) -> None:
        self._chunks = list(chunks[:count])

    def state(self) -> tuple[list[AnyChunk], int]:
        return self._chunks, len(self._chunks) - 1

    def stop(self, by: str) -> None:
        raise AssertionError(f"stopped by {by}")

    def steered(self) -> None:
        raise AssertionError("steered")


SAID: Final[tuple[AnyChunk, ...]] = (
    StartChunk(message_id=RUN.message_id),
    ReasoningStartChunk(id="r"),
    ReasoningDeltaChunk(id="r", delta="hm"),
    ReasoningEndChunk(id="r"),
    TextStartChunk(id="t"),
    TextDeltaChunk(id="t", delta="Well"),
    TextDeltaChunk(id="t", delta=", yes"),
)


@pytest.mark.parametrize("forgotten", [0, 3, 5], ids="since={}".format)
@pytest.mark.parametrize("committed", [None, 2, 6, 7, 9], ids="committed={}".format)
def test_reader_that_cannot_go_on_is_told_the_end_of_what_it_saw_begin(
    committed: int | None, forgotten: int
) -> None:
    """Whatever the producer knows beside it: less than what arrived, as much, or more.

    Args:
        committed: chunks that the producer here knows to be stored; None: it is elsewhere.
        forgotten: chunks at the run's beginning that memory has no more.
    """
    here = LiveRuns()
    log = RunView(
        cast("SessionStore", None),
        SESSION,
        RUN,
        next_sequence=forgotten,
        opened="0-0",
        live_runs=here,
    )
    more = (TextEndChunk(id="t"), TextStartChunk(id="u"))
    if committed is not None:
        here.add(RUN.id, Producing((*SAID, *more), committed))
    deliver(log, *SAID[forgotten:])

    chunks = decode_lines(log.failure(len(SAID), "gone").payload)

    assert [type(chunk) for chunk in chunks] == [TextEndChunk, ErrorChunk, FinishChunk]
    assert [getattr(chunk, "id", None) for chunk in chunks] == ["t", None, None]


def test_reader_that_cannot_go_on_is_told_nothing_of_a_call_that_began_before_its_memory() -> None:
    """Memory lacks the call's name, so clients could not take an end of it."""
    log = RunView(cast("SessionStore", None), SESSION, RUN, next_sequence=9, opened="0-0")
    deliver(log, ToolInputDeltaChunk(tool_call_id="c", input_text_delta="{"))
    deliver(log, ToolInputStartChunk(tool_call_id="d", tool_name="look"))

    chunks = decode_lines(log.failure(11, "gone").payload)

    assert [getattr(chunk, "tool_call_id", None) for chunk in chunks[:-2]] == ["d"]
