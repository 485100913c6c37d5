"""The readable rest of a run, and of a message, with unreadable parts."""

from __future__ import annotations

import json

import pytest

from midstream.protocol import (
    Assembler,
    ChunkWriter,
    StartChunk,
    TextDeltaChunk,
    UIMessage,
    decode,
    encode,
    encode_lines,
)
from midstream.protocol.salvage import apply_fitting, readable_lines, salvaged

LINES = [
    b'{"type":"start","messageId":"m"}',
    b'{"type":"start-step"}',
    b'{"type":"text-start","id":"t"}',
    b'{"type":"text-delta","id":"t","delta":"so "}',
    b'{"type":"text-delta","id":"t","delta":"far"}',
]


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense",
        b"\xff",
        b'{"type":"text-delta","id":"t","delta":21}',
        b'{"type":"text-delta","id":"other","delta":"x"}',
        b'{"type":"tool-output-available","toolCallId":"none","output":1}',
        b'{"type":"finish-step","x":' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("at", range(1, len(LINES) + 1))
def test_chunks_that_are_none_or_do_not_fit_are_passed_over(bad: bytes, at: int) -> None:
    """Wherever they stand, the rest makes the message, and the run can be ended."""
    lines = [*LINES[:at], bad, *LINES[at:]]
    chunks, whole = readable_lines(b"\n".join(lines) + b"\n")
    writer, assembler, fits = salvaged(chunks, "m", None)
    assembler.apply_all(writer.fail("It could not be read."))

    assert not (whole and fits)
    parts = json.loads(assembler.message())["parts"]
    assert [part.get("text") for part in parts] == [None, "so far"]


def test_what_can_be_read_is_whole() -> None:
    """Nothing is passed over."""
    payload = b"\n".join(LINES) + b"\n"
    chunks, whole = readable_lines(payload)

    assert encode_lines(chunks) == payload
    assert whole
    assert salvaged(chunks, "m", None)[2]
    assert not apply_fitting(Assembler("m"), [TextDeltaChunk(id="t", delta="x")])


ODD_PARTS = (
    b'{"type":"text"}',
    b'{"type":"tool-t","state":"output-available"}',
    b'{"type":"tool-t","toolCallId":"c","state":"ready"}',
    b'{"type":"tool-t","toolCallId":"c","state":"approval-requested","approval":{}}',
    b'{"type":3}',
    b"5",
)


def test_message_with_parts_that_cannot_be_read_goes_on() -> None:
    """They stay as they are, and no chunk tells of them."""
    parts = b",".join([*ODD_PARTS, b'{"type":"text","text":"Well."}'])
    base = UIMessage.parse(b'{"id":"m","role":"assistant","parts":[%b]}' % parts)
    writer = ChunkWriter("m", base)
    writer.write(StartChunk(message_id="m"))
    assembler = Assembler("m", base)
    for chunk in assembler.replay():
        decode(encode(chunk))
    assembler.apply_all(writer.finish("stop"))

    assert base.text == "Well."
    assert json.loads(assembler.message())["parts"] == json.loads(b"[%b]" % parts)
