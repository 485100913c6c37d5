"""Chunks to JSON and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol import (
    AnyChunk,
    Json,
    MalformedFrameError,
    OpaqueChunk,
    TextDeltaChunk,
    ToolInputAvailableChunk,
    data_chunk,
    decode,
    decode_lines,
    encode,
    encode_lines,
)
from tests.support.legal_chunks import any_chunk

PRETTY = Json(b'{\n\t"city": "Par\\nis",\r\n\t"days": [1, 2]\n}')


@given(any_chunk)
def test_codec_keeps_a_chunk(chunk: AnyChunk) -> None:
    """A chunk that was encoded and decoded encodes to the same bytes again."""
    line = encode(chunk)
    assert encode(decode(line)) == line
    assert type(decode(line)) is type(chunk)


@given(st.lists(any_chunk))
def test_codec_writes_one_line_a_chunk(chunks: list[AnyChunk]) -> None:
    """However its JSON came, a chunk takes one line, and ends it."""
    payload = encode_lines(chunks)
    assert payload.count(b"\n") == len(chunks)
    assert b"\r" not in payload
    assert payload == b"".join(encode(chunk) + b"\n" for chunk in decode_lines(payload))


@given(
    st.lists(st.text(max_size=3), min_size=8, max_size=20),
    st.lists(st.tuples(st.integers(0, 20), any_chunk), max_size=2),
)
def test_codec_reads_many_chunks_as_it_reads_each(
    texts: list[str], others: list[tuple[int, AnyChunk]]
) -> None:
    """Those of one type are read at once; it makes no difference."""
    chunks: list[AnyChunk] = [TextDeltaChunk(id="t", delta=text) for text in texts]
    for place, other in others:
        chunks.insert(place, other)
    payload = encode_lines(chunks)
    assert decode_lines(payload) == [decode(line) for line in payload.split(b"\n") if line]


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"type":"text-delta","id":1,"delta":"a"}',
        b'{"type":"text-delta","id":"0","delta":"\xff"}',
        b'{"type":"text-delta","id":"0"',
    ],
)
def test_codec_refuses_one_wrong_chunk_among_many(wrong: bytes) -> None:
    right = encode(TextDeltaChunk(id="0", delta="a"))
    with pytest.raises(MalformedFrameError):
        decode_lines(b"\n".join([*[right] * 9, wrong, b""]))


def test_codec_compacts_json_that_came_with_line_breaks() -> None:
    """Line breaks between a foreign value's tokens are dropped, those in strings stay."""
    chunk = ToolInputAvailableChunk(tool_call_id="c", tool_name="weather", input=PRETTY)
    line = encode(chunk)
    assert b"\n" not in line
    assert json.loads(line)["input"] == {"city": "Par\nis", "days": [1, 2]}
    assert encode_lines([chunk]) == line + b"\n"


def test_codec_compacts_json_of_carriage_returns_alone() -> None:
    """They end a line of an event stream, too."""
    chunk = ToolInputAvailableChunk(tool_call_id="c", tool_name="w", input=Json(b"[1,\r2]"))
    assert encode_lines([chunk]).endswith(b'"input":[1,2]}\n')


def test_codec_keeps_numbers_as_they_were_written() -> None:
    """A value that is not ours is carried, not decoded: 1.0 stays 1.0."""
    line = b'{"type":"tool-output-available","toolCallId":"c","output":[1.0,1e2,10000000000000001]}'
    assert encode(decode(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "text-delta", "id": "0", "delta": "a"}',
        b'{"id":"0","type":"text-delta","delta":"a"}',
        b'{"type":"text\\u002ddelta","id":"0","delta":"a"}',
        b'\n{"type":"text-delta",\n"id":"0","delta":"a","somethingNew":1}\r\n',
    ],
)
def test_codec_reads_a_chunk_however_it_is_written(line: bytes) -> None:
    """Spaces, the order of fields, escapes and unknown fields do not matter."""
    assert decode(line) == TextDeltaChunk(id="0", delta="a")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            b'{"type":"data-x","id":"7","data":null,"transient":true,"more":1}',
            OpaqueChunk(
                type="data-x",
                raw=b'{"type":"data-x","id":"7","data":null,"transient":true,"more":1}',
                id="7",
                transient=True,
            ),
        ),
        (b'{"type":"data-x"}', OpaqueChunk(type="data-x", raw=b'{"type":"data-x"}')),
        (
            b'{"type":"of-tomorrow",\n"id":1}',
            OpaqueChunk(type="of-tomorrow", raw=b'{"type":"of-tomorrow","id":1}'),
        ),
    ],
)
def test_codec_carries_what_it_does_not_know_whole(line: bytes, expected: OpaqueChunk) -> None:
    """A data chunk, or one of an unknown type, loses nothing."""
    assert decode(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nope",
        b"[]",
        b'{"id":"0"}',
        b'{"type":"text-delta","id":"0"}',
        b'{"type":"text-delta","id":0,"delta":""}',
        b'{"type":"text-delta","id":"0","delta":"\xff"}',
        b'{"type":"text-delta","id":"0","delta":"\\ud83d"}',
        b'{"type":"text-delta","id":"0","delta":"","type":"text-end"}',
        b'{"type":"finish","finishReason":"bored"}',
        b'{"type":"tool-output-available","toolCallId":"c","output":"\xff"}',
        b'{"type":"tool-output-available","toolCallId":"c","output":{"a":}}',
        b'{"type":"data-x","id":null,"data":1}',
        b'{"type":"data-x","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(14),
)
def test_codec_refuses_what_is_no_chunk(line: bytes) -> None:
    """Anything but a chunk raises one kind of error."""
    with pytest.raises(MalformedFrameError, match=r"^unable to read a chunk; "):
        decode(line)


def test_codec_makes_data_chunks() -> None:
    """A data chunk of our own is what it would be had it come from outside."""
    made = data_chunk("weather", PRETTY, id="7", transient=True)
    assert made == decode(made.raw)
    assert made.is_data
    assert json.loads(made.raw)["data"] == {"city": "Par\nis", "days": [1, 2]}
    assert data_chunk("x", Json(b"1")).raw == b'{"type":"data-x","data":1}'


def test_codec_skips_empty_lines() -> None:
    """A payload that a person wrote may hold empty lines."""
    assert decode_lines(b'\n{"type":"start"}\n\n') == [decode(b'{"type":"start"}')]
