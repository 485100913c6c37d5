"""Deltas that follow each other in one part."""

from __future__ import annotations

from msgspec import Raw

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AnyChunk,
    ReasoningDeltaChunk,
    ReasoningStartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputDeltaChunk,
    ToolInputStartChunk,
)
from midstream.protocol.deltas import joined

SIGNED = Raw(b'{"anthropic":{"signature":"s"}}')


def message_of(chunks: list[AnyChunk]) -> bytes:
    assembler = Assembler("m")
    assembler.apply_all(chunks)
    return assembler.message()


def test_joined_deltas_make_the_same_message() -> None:
    """Of each kind; a delta with metadata, another part and another chunk stand between."""
    opened: list[AnyChunk] = [
        TextStartChunk(id="t"),
        TextStartChunk(id="u"),
        ReasoningStartChunk(id="t"),
        ToolInputStartChunk(tool_call_id="t", tool_name="roll"),
    ]
    deltas: list[AnyChunk] = [
        TextDeltaChunk(id="t", delta="a"),
        TextDeltaChunk(id="t", delta="b"),
        TextDeltaChunk(id="u", delta="c"),
        ReasoningDeltaChunk(id="t", delta="d"),
        ReasoningDeltaChunk(id="t", delta="e"),
        ReasoningDeltaChunk(id="t", delta="", provider_metadata=SIGNED),
        ReasoningDeltaChunk(id="t", delta="f"),
        ToolInputDeltaChunk(tool_call_id="t", input_text_delta='{"n"'),
        ToolInputDeltaChunk(tool_call_id="t", input_text_delta=":1}"),
        TextDeltaChunk(id="t", delta="g"),
        TextDeltaChunk(id="t", delta="h"),
        TextEndChunk(id="t"),
    ]
    fewer = list(joined(deltas))
    assert fewer == [
        TextDeltaChunk(id="t", delta="ab"),
        TextDeltaChunk(id="u", delta="c"),
        ReasoningDeltaChunk(id="t", delta="de"),
        ReasoningDeltaChunk(id="t", delta="", provider_metadata=SIGNED),
        ReasoningDeltaChunk(id="t", delta="f"),
        ToolInputDeltaChunk(tool_call_id="t", input_text_delta='{"n":1}'),
        TextDeltaChunk(id="t", delta="gh"),
        TextEndChunk(id="t"),
    ]
    assert message_of(opened + fewer) == message_of(opened + deltas)


def test_chunks_without_neighbours_to_join_are_returned_as_they_are() -> None:
    """The same object, so that nothing is encoded a second time."""
    chunks: list[AnyChunk] = [TextStartChunk(id="t"), TextDeltaChunk(id="t", delta="a")]
    assert joined(chunks) is chunks
