"""Results for the calls that a cut run leaves without one."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from midstream.protocol import AnyChunk, ChunkWriter, decode, encode_lines
from midstream.protocol.cut_calls import INTERRUPTED_CALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.protocol.cut_calls import WaitingCall

START = b'{"type":"start","messageId":"answer"}'
STEP = b'{"type":"start-step"}'
STEP_END = b'{"type":"finish-step"}'
RESET = b'{"type":"reset-step"}'
CALL = b'{"type":"tool-input-available","toolCallId":"c","toolName":"w","input":{}}'
DYNAMIC = CALL[:-1] + b',"dynamic":true}'
HOSTED = CALL[:-1] + b',"providerExecuted":true}'
BAD = b'{"type":"tool-input-error","toolCallId":"c","toolName":"w","input":"","errorText":"no"}'
OUTPUT = b'{"type":"tool-output-available","toolCallId":"c","output":1}'
SO_FAR = OUTPUT[:-1] + b',"preliminary":true}'
ERROR = b'{"type":"tool-output-error","toolCallId":"c","errorText":"no"}'
ASK = b'{"type":"tool-approval-request","approvalId":"a","toolCallId":"c"}'
DENIED = b'{"type":"tool-output-denied","toolCallId":"c"}'
ENDS: tuple[Callable[[ChunkWriter], list[AnyChunk]], ...] = (
    ChunkWriter.abort,
    partial(ChunkWriter.fail, error_text="no"),
    ChunkWriter.finish,
)
CUT = {"type": "tool-output-error", "toolCallId": "c", "errorText": INTERRUPTED_CALL}


def closed(*lines: bytes) -> list[dict[str, object]]:
    """Return what both bad ends say of calls; a good end says nothing of them."""
    said = []
    for end in ENDS:
        writer = ChunkWriter.resume_from(map(decode, lines), "answer")
        chunks = [json.loads(line) for line in encode_lines(end(writer)).splitlines()]
        said.append([chunk for chunk in chunks if chunk["type"].startswith("tool-output")])
    assert said[0] == said[1]
    assert said[2] == []
    return said[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param((STEP, CALL), [CUT], id="its tool was at work"),
        pytest.param((CALL,), [CUT], id="in a stream without steps"),
        pytest.param((STEP, CALL, SO_FAR), [CUT], id="its result was not the last"),
        pytest.param((STEP, DYNAMIC), [{**CUT, "dynamic": True}], id="a dynamic tool"),
        pytest.param((STEP, CALL, OUTPUT), [], id="it has its result"),
        pytest.param((STEP, CALL, ERROR), [], id="it has failed"),
        pytest.param((STEP, BAD), [], id="its input was bad"),
        pytest.param((STEP, CALL, ASK), [], id="a person is asked"),
        pytest.param((STEP, CALL, ASK, DENIED), [], id="a person has refused"),
        pytest.param((STEP, CALL, STEP_END), [], id="it waits for the client"),
        pytest.param((STEP, CALL, STEP_END, STEP), [], id="also in the next step"),
        pytest.param((STEP, CALL, RESET), [], id="its step was begun again"),
        pytest.param((STEP, HOSTED), [], id="the provider executes it"),
    ],
)
def test_cut_run_closes_the_calls_that_nobody_can_answer(
    lines: tuple[bytes, ...], expected: list[dict[str, object]]
) -> None:
    """By what is known of a stream: results come before their step ends, or from the client."""
    assert closed(START, *lines) == expected


def test_whoever_ends_a_run_decides_what_is_said_of_each_call() -> None:
    """The caller is asked about every call, and may leave it open."""
    seen: list[WaitingCall] = []

    def decide(call: WaitingCall) -> str | None:
        seen.append(call)
        return "Cut." if call.name == "w" else None

    other = CALL.replace(b'"c"', b'"d"').replace(b'"w"', b'"v"')
    writer = ChunkWriter.resume_from(map(decode, (START, STEP, CALL, STEP_END, other)), "answer")
    lines = encode_lines(writer.abort(cut=decide)).splitlines()
    assert json.loads(lines[0]) == {**CUT, "errorText": "Cut."}
    assert [(call.id, call.unfinished) for call in seen] == [("c", False), ("d", True)]
    assert len(lines) == 3
