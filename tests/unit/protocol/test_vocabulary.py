"""The chunks that each version is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol import (
    BEYOND_LEVELS,
    STEERING_LEVEL,
    AnyChunk,
    CustomChunk,
    FinishChunk,
    Json,
    OpaqueChunk,
    ReasoningFileChunk,
    ResetStepChunk,
    SteeringMessageChunk,
    TextDeltaChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolOutputDeniedChunk,
    accept,
    data_chunk,
    level_of,
    level_of_chunks,
)
from tests.support.legal_chunks import any_chunk

REJECTED: list[tuple[AnyChunk, set[int]]] = [
    (TextDeltaChunk(id="0", delta=""), set()),
    (data_chunk("x", Json(b"1")), set()),
    (FinishChunk(), set()),
    (FinishChunk(finish_reason="stop"), set()),
    (ToolApprovalRequestChunk(approval_id="a", tool_call_id="c"), {5}),
    (ToolOutputDeniedChunk(tool_call_id="c"), {5}),
    (ToolApprovalResponseChunk(approval_id="a", approved=True), {5, 6}),
    (ReasoningFileChunk(url="", media_type=""), {5, 6}),
    (CustomChunk(kind="a.b"), {5, 6}),
    (ResetStepChunk(), {5, 6}),
    (OpaqueChunk(type="of-tomorrow", raw=b'{"type":"of-tomorrow"}'), {5, 6, 7}),
]


@pytest.mark.parametrize(("chunk", "rejected"), REJECTED)
@pytest.mark.parametrize("level", [5, 6, 7])
def test_filter_sends_a_version_only_what_it_accepts(
    chunk: AnyChunk, rejected: set[int], level: int
) -> None:
    """Rejected chunks are left out, all others are untouched."""
    assert accept(chunk, level) is (None if level in rejected else chunk)


def test_message_for_a_running_answer_reaches_clients_that_do_not_know_its_chunk() -> None:
    chunk = SteeringMessageChunk(id="u", parts=Json(b'[{"type":"text","text":"No."}]'))
    as_data = b'{"type":"delivered","id":"u","parts":[{"type":"text","text":"No."}]}'
    for level in (5, 6, 7):
        assert accept(chunk, level) == data_chunk("steering", Json(as_data), id="u")
    assert accept(chunk, STEERING_LEVEL) is chunk


@pytest.mark.parametrize("level", [5, 6, 7])
@pytest.mark.parametrize("reason", ["interrupted", "unknown"])
def test_filter_rewrites_a_finish_reason_that_not_all_know(reason: str, level: int) -> None:
    """The run's end reaches every client, its metadata too."""
    chunk = FinishChunk(finish_reason=reason, message_metadata=Json(b"{}"))  # type: ignore[arg-type]
    sent = accept(chunk, level)
    assert isinstance(sent, FinishChunk)
    assert sent.finish_reason == "other"
    assert sent.message_metadata is chunk.message_metadata


@given(any_chunk, st.sampled_from([5, 6, 7, STEERING_LEVEL, BEYOND_LEVELS]))
def test_filter_output_needs_no_filter(chunk: AnyChunk, level: int) -> None:
    """The replacement of a chunk is itself accepted."""
    sent = accept(chunk, level)
    assert sent is None or level_of(sent) <= level


@given(st.lists(any_chunk))
def test_level_of_chunks_is_the_highest_of_theirs(chunks: list[AnyChunk]) -> None:
    """A batch needs no filter for a client of its level."""
    level = level_of_chunks(chunks)
    assert [accept(chunk, level) for chunk in chunks] == chunks
    assert level == 5 or any(accept(chunk, level - 1) is not chunk for chunk in chunks)
