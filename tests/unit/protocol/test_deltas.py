"""Deltas that follow each other in one part."""

from __future__ import annotations

import pytest
from msgspec import Raw

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AnyChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningStartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputDeltaChunk,
    ToolInputStartChunk,
)
from midstream.protocol.codec import encode_lines
from midstream.protocol.deltas import joined, only_words, size_of_words

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


def test_words_are_deltas_with_nothing_besides_their_text() -> None:
    """What clients may refuse can be in no other field, and in no text."""
    words: list[AnyChunk] = [
        TextDeltaChunk(id="t", delta="a"),
        ReasoningDeltaChunk(id="t", delta="b"),
    ]
    others: list[AnyChunk] = [
        ReasoningDeltaChunk(id="t", delta="", provider_metadata=SIGNED),
        ToolInputDeltaChunk(tool_call_id="t", input_text_delta="{"),
        TextStartChunk(id="t"),
        OpaqueChunk(type="data-x", raw=b'{"type":"data-x"}'),
    ]
    assert only_words(words)
    assert not any(only_words([*words, other]) for other in others)


@pytest.mark.parametrize("text", ["", "plain words", "größer", "\u4e2d\u6587", "\U0001f600"])
def test_size_of_words_is_about_that_of_their_lines(text: str) -> None:
    """In bytes, not in characters; the ids, and what JSON escapes, are not counted."""
    chunks = [TextDeltaChunk(id="t", delta=text), ReasoningDeltaChunk(id="t", delta=text)]
    exact = len(encode_lines(chunks))
    assert exact - 10 <= size_of_words(chunks) <= exact


def test_text_without_utf_8_has_no_size() -> None:
    """Whoever gives it is told so, not whoever encodes it later."""
    with pytest.raises(UnicodeEncodeError):
        size_of_words([TextDeltaChunk(id="t", delta="\ud800")])
