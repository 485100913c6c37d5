"""A run as a process follows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.sessions.run_log import RunLog
from gateway.store.records import ChunksRecord
from protocol.chunks import AbortChunk, FinishChunk, StartChunk, TextStartChunk
from protocol.codec import decode_lines, encode_lines
from protocol.writer import ChunkWriter
from tests.unit.gateway.sessions.test_feed import RUN, SESSION

if TYPE_CHECKING:
    from gateway.store.store import SessionStore
    from protocol.chunks import AnyChunk


def deliver(log: RunLog, *chunks: AnyChunk) -> None:
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
    """Who joins between a run's last chunks and the record of its end hears how it ended."""
    store = cast("SessionStore", None)  # all is in memory
    log = RunLog(store, SESSION, RUN, next_sequence=0, opened="0-0")
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
