"""Chunks that begin a step."""

from __future__ import annotations

import pytest

from midstream.protocol.chunks import StartStepChunk, ToolInputAvailableChunk
from midstream.protocol.codec import decode
from midstream.protocol.composer import Composer
from midstream.protocol.messages import UIMessage
from midstream.protocol.steps import calls_of

BASE = UIMessage.parse(
    b'{"id":"m","role":"assistant","parts":[{"type":"step-start"},{"type":"tool-book",'
    b'"toolCallId":"c","state":"approval-responded","input":{},'
    b'"approval":{"id":"a","approved":true}}]}'
)
SAID = b'{"type":"tool-input-available","toolCallId":"%b","toolName":"book","input":{}}'


def composer(base: UIMessage | None) -> Composer:
    """One whose ids are all the same."""
    return Composer("m", lambda: "p", base)


@pytest.mark.parametrize(
    ("base", "call", "begins"),
    [(BASE, b"c", False), (BASE, b"other", True), (None, b"c", True)],
)
def test_call_of_an_earlier_run_that_is_said_again_begins_no_step(
    base: UIMessage | None, call: bytes, begins: bool
) -> None:
    """In a step of its own it would be a second call."""
    made = [type(chunk) for chunk in composer(base).chunk(decode(SAID % call))]
    assert made == [*([StartStepChunk] if begins else []), ToolInputAvailableChunk]


def test_calls_of_a_message_are_its_tools() -> None:
    """None of no message."""
    assert (calls_of(BASE), calls_of(None)) == (frozenset({"c"}), frozenset())
