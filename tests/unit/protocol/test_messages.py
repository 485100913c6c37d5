"""Messages and their parts."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from midstream.protocol import (
    MalformedFrameError,
    OpaquePart,
    StepStartPart,
    TextPart,
    ToolPart,
    UIMessage,
    parse_part,
)


def test_message_is_kept_as_it_came() -> None:
    """Nothing that a client put into it is lost, and it takes one line."""
    message = UIMessage.parse(
        b'{"id":"u1","role":"user",\r\n"parts":[{"type":"text",\n"text":"Hi","new":1.0}],"x":[1]}'
    )
    assert (message.id, message.role, message.metadata) == ("u1", "user", UNSET)
    assert b"\n" not in bytes(message.raw)
    assert b'"new":1.0' in bytes(message.raw)
    assert bytes(message.raw).endswith(b'"x":[1]}')
    assert list(message.decoded_parts()) == [TextPart(text="Hi")]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"id":"u1","role":"user"}',
        b'{"id":"u1","role":"robot","parts":[]}',
        b'{"id":1,"role":"user","parts":[]}',
        b'{"id":"u1","role":"user","parts":[],"metadata":"\xff"}',
        b'{"id":"u1","role":"user","parts":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ],
    ids=range(7),
)
def test_message_refuses_what_is_none(raw: bytes) -> None:
    """Anything but a message raises one kind of error."""
    with pytest.raises(MalformedFrameError, match="unable to read a message"):
        UIMessage.parse(raw)


def test_part_is_read_by_its_type() -> None:
    """Known types have their own shape; a tool's name is in its type, or beside it."""
    assert parse_part(b'{"type":"step-start"}') == StepStartPart()
    static = parse_part(b'{"type":"tool-get-time","toolCallId":"c","state":"output-denied"}')
    assert isinstance(static, ToolPart)
    assert (static.tool_name, static.dynamic) == ("get-time", False)
    dynamic = parse_part(
        b'{"type":"dynamic-tool","toolName":"w","toolCallId":"c","state":"input-streaming"}'
    )
    assert isinstance(dynamic, ToolPart)
    assert (dynamic.tool_name, dynamic.dynamic) == ("w", True)


def test_part_of_a_type_that_is_not_known_is_kept_whole() -> None:
    """Data parts, and those of other versions."""
    part = parse_part(b'{"type":"data-x","id":"1","data":{"a":1.0}}')
    assert isinstance(part, OpaquePart)
    assert (part.type, part.id) == ("data-x", "1")
    assert bytes(part.raw) == b'{"type":"data-x","id":"1","data":{"a":1.0}}'


@pytest.mark.parametrize("raw", [b"1", b'{"type":"text"}', b'{"type":"tool-x"}'])
def test_part_refuses_what_is_none(raw: bytes) -> None:
    """Not of its type's shape."""
    with pytest.raises(MalformedFrameError, match="unable to read a message part"):
        parse_part(raw)


def test_text_of_a_message_is_that_of_its_text_parts() -> None:
    """Reasoning and tools are none of it."""
    message = UIMessage.parse(
        b'{"id":"m","role":"assistant","parts":[{"type":"text","text":"a"},'
        b'{"type":"reasoning","text":"x"},{"type":"data-n","data":1},{"type":"text","text":"b"}]}'
    )
    assert message.text == "ab"
