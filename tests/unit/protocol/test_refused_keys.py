"""Keys for which clients refuse to read a chunk never reach them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from midstream.protocol import (
    AnyChunk,
    ChunkBatch,
    ChunkWriter,
    FinishChunk,
    MalformedFrameError,
    MessageMetadataChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextStartChunk,
    ToolInputDeltaChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    data_chunk,
    encode,
    encode_lines,
)
from midstream.protocol.partial_json import parse_partial
from midstream.protocol.refused_keys import encode_readable, is_refused, without_refused_keys

BAD = Raw(b'{"a":[{"__proto__":{"x":1},"b":2}],"constructor":{"prototype":3,"c":4}}')
LEFT = {"a": [{"b": 2}], "constructor": {"c": 4}}


@pytest.mark.parametrize(
    ("chunk", "field"),
    [
        (ToolOutputAvailableChunk(tool_call_id="c", output=BAD), "output"),
        (data_chunk("x", BAD), "data"),
        (MessageMetadataChunk(message_metadata=BAD), "messageMetadata"),
        (FinishChunk(message_metadata=BAD), "messageMetadata"),
        (TextStartChunk(id="t", provider_metadata=BAD), "providerMetadata"),
        (TextDeltaChunk(id="t", delta="", provider_metadata=BAD), "providerMetadata"),
    ],
)
def test_chunks_lose_them_at_any_depth_and_keep_the_rest(chunk: Any, field: str) -> None:
    """The chunk that is stored and the one that the state is made of are the same."""
    payload, (cleaned,) = encode_readable([chunk])

    assert json.loads(payload)[field] == LEFT
    assert payload == encode(cleaned) + b"\n"
    batch = ChunkBatch.aggregate([chunk], 0)
    assert batch.payload == payload


@pytest.mark.parametrize(
    "text",
    [
        "In JavaScript, __proto__ and constructor.prototype",
        '{"__proto__": 1}',
        r"\u005f_proto__",
    ],
)
def test_words_about_them_stay(text: str) -> None:
    """Only keys are refused."""
    chunks: list[AnyChunk] = [
        TextDeltaChunk(id="t", delta=text),
        data_chunk("x", Raw(json.dumps(text).encode())),
    ]
    payload, same = encode_readable(chunks)

    assert payload == encode_lines(chunks)
    assert same is chunks


def test_cut_input_with_one_is_told_as_its_text() -> None:
    """A client cannot parse such an input, and the state for late readers drops it, too."""
    text = '{"__proto__":{"x":1}}'
    writer = ChunkWriter("m")
    opening = [StartChunk(), StartStepChunk(), ToolInputStartChunk(tool_call_id="c", tool_name="t")]
    for chunk in [*opening, ToolInputDeltaChunk(tool_call_id="c", input_text_delta=text)]:
        writer.write(chunk)
    (error,) = [json.loads(encode(chunk)) for chunk in writer.abort()][:1]

    assert error["input"] == text
    assert not isinstance(parse_partial(text), Raw)


def test_what_is_nested_too_deep_to_be_looked_through_is_refused() -> None:
    """Rather than sent as it is."""
    deep = b'{"__proto__":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(MalformedFrameError):
        without_refused_keys(deep)
    with pytest.raises(MalformedFrameError):
        is_refused(deep)


def test_bytes_that_are_not_utf8_reach_no_client() -> None:
    """JSON of others may hold any byte in its strings, and half a character."""
    broken = data_chunk("x", Raw(b'{"word":"\xff"}'))
    payload, (cleaned,) = encode_readable([broken])
    assert json.loads(payload)["data"] == {"word": "\N{REPLACEMENT CHARACTER}"}
    assert payload == encode_lines([cleaned])
    legible = data_chunk("x", Raw('{"word":"é"}'.encode()))
    assert encode_readable([legible]) == (encode_lines([legible]), [legible])
    half = b'{"__proto__":1,"word":"\\ud83d"}'
    assert json.loads(without_refused_keys(half)) == {"word": "\N{REPLACEMENT CHARACTER}"}
