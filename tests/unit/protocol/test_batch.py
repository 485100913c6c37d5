"""Batches and their frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol import (
    AnyChunk,
    ChunkBatch,
    CustomChunk,
    Encoding,
    FinishChunk,
    SseDecoder,
    TextDeltaChunk,
    accept,
    encode,
    encode_lines,
    level_of_chunks,
)
from tests.support.legal_chunks import any_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

HELLO = [TextDeltaChunk(id="0", delta="Hel"), TextDeltaChunk(id="0", delta="lo 🎉")]
NEW = CustomChunk(kind="p.kind")


def batch_of(chunks: Sequence[AnyChunk], first: int = 0) -> ChunkBatch:
    """Return the raw batch of some chunks."""
    return ChunkBatch(
        first=first,
        count=len(chunks),
        payload=encode_lines(chunks),
        level=level_of_chunks(chunks),
    )


def test_batch_frames_each_chunk_with_its_sequence() -> None:
    """In SSE every chunk is an event whose id is its place in the run."""
    frame = batch_of([*HELLO], first=9).frame(Encoding.SSE, 7)
    assert frame == (
        b'id: 9\ndata: {"type":"text-delta","id":"0","delta":"Hel"}\n\n'
        b'id: 10\ndata: {"type":"text-delta","id":"0","delta":"lo \xf0\x9f\x8e\x89"}\n\n'
    )


def test_batch_leaves_out_what_a_client_does_not_know() -> None:
    """A chunk that is left out takes its sequence with it; the others keep theirs."""
    batch = batch_of([HELLO[0], NEW, HELLO[1]], first=3)
    events = SseDecoder().receive_data(batch.frame(Encoding.SSE, 6))
    assert [(event.id, event.data) for event in events] == [
        ("3", encode(HELLO[0])),
        ("5", encode(HELLO[1])),
    ]
    assert len(SseDecoder().receive_data(batch.frame(Encoding.SSE, 7))) == 3


def test_batch_rewrites_what_has_an_older_form() -> None:
    """A finish reason of a newer version reaches an older one as a word that it knows."""
    batch = batch_of([FinishChunk(finish_reason="interrupted")])
    assert batch.lines(7) == [b'{"type":"finish","finishReason":"other"}']


def test_batch_makes_a_frame_once() -> None:
    """Readers of one encoding and vocabulary share the same bytes."""
    batch = batch_of([*HELLO])
    assert batch.frame(Encoding.SSE, 5) is batch.frame(Encoding.SSE, 7)
    newer = batch_of([NEW])
    assert newer.frame(Encoding.SSE, 6) == b""
    assert newer.frame(Encoding.SSE, 7) is newer.frame(Encoding.SSE, 7)


def test_batch_as_text_is_the_text_alone() -> None:
    """A text stream holds the text deltas' text, and nothing of other chunks."""
    chunks = [*HELLO, NEW, FinishChunk(finish_reason="stop")]
    assert batch_of(chunks).frame(Encoding.TEXT, 5) == "Hello 🎉".encode()
    assert batch_of([NEW]).frame(Encoding.TEXT, 7) == b""


def test_aggregated_batch_carries_one_id() -> None:
    """It stands for all chunks up to its last, so only its last line has an id: that one."""
    batch = ChunkBatch.aggregate([*HELLO, NEW], last=41)
    assert (batch.count, batch.last, batch.aggregated) == (3, 41, True)
    frame = batch.frame(Encoding.SSE, 7)
    assert frame.count(b"id: ") == 1
    assert frame.endswith(b"id: 41\ndata: " + encode(NEW) + b"\n\n")
    older = batch.frame(Encoding.SSE, 6)
    assert older.endswith(b"id: 41\ndata: " + encode(HELLO[1]) + b"\n\n")


def test_aggregated_batch_of_nothing_committed_carries_no_id() -> None:
    """Before a run's first chunk there is nothing to continue after."""
    batch = ChunkBatch.aggregate([*HELLO], last=-1)
    assert b"id: " not in batch.frame(Encoding.SSE, 7)
    assert ChunkBatch.aggregate([NEW], last=3).frame(Encoding.SSE, 5) == b""


@given(st.lists(any_chunk, max_size=8), st.integers(0, 20), st.integers(0, 30))
def test_batch_since_a_sequence_is_exactly_the_suffix(
    chunks: list[AnyChunk], first: int, sequence: int
) -> None:
    """No chunk is repeated or skipped."""
    batch = batch_of(chunks, first)
    tail = batch.since(sequence)
    skipped = max(0, sequence - first)
    assert tail.lines(8) == batch.lines(8)[skipped:]
    assert tail.count == len(chunks[skipped:])
    if tail.count:
        assert (tail.first, tail.last) == (first + skipped, batch.last)


def test_aggregated_batch_cannot_be_cut() -> None:
    """A state is whole or nothing."""
    batch = ChunkBatch.aggregate([*HELLO], last=5)
    assert batch.since(3) is batch


@given(st.lists(any_chunk, max_size=8), st.sampled_from([5, 6, 7, 8]))
def test_batch_lines_are_what_the_client_accepts(chunks: list[AnyChunk], level: int) -> None:
    """Every encoding filters alike."""
    batch = batch_of(chunks)
    accepted = [encode(new) for chunk in chunks if (new := accept(chunk, level)) is not None]
    assert batch.lines(level) == accepted
    events = SseDecoder().receive_data(batch.frame(Encoding.SSE, level))
    assert [json.loads(event.data) for event in events] == [json.loads(a) for a in accepted]
