"""The order of a run's chunks, and its end."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from midstream.protocol import (
    AbortChunk,
    AnyChunk,
    Chunk,
    ChunkWriter,
    ErrorChunk,
    FinishChunk,
    FinishStepChunk,
    IllegalChunkError,
    Json,
    LocalProtocolError,
    ReasoningDeltaChunk,
    TextDeltaChunk,
    UIMessage,
    decode,
    decode_lines,
    encode_lines,
)
from midstream.protocol.cut_calls import INTERRUPTED_CALL
from midstream.protocol.grammar import CLOSED_AT_THE_END, MOVES, TURNS, Phase
from tests.support.legal_chunks import MESSAGE_ID, any_chunk, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

START = b'{"type":"start","messageId":"answer"}'
STEP = b'{"type":"start-step"}'
STEP_END = b'{"type":"finish-step"}'
TEXT = b'{"type":"text-start","id":"0"}'
TEXT_DELTA = b'{"type":"text-delta","id":"0","delta":"Hi"}'
TEXT_END = b'{"type":"text-end","id":"0"}'
REASONING = b'{"type":"reasoning-start","id":"0"}'
REASONING_DELTA = b'{"type":"reasoning-delta","id":"0","delta":"Hm"}'
REASONING_END = b'{"type":"reasoning-end","id":"0"}'
INPUT = b'{"type":"tool-input-start","toolCallId":"c","toolName":"w"}'
INPUT_DELTA = b'{"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"{}"}'
INPUT_DONE = b'{"type":"tool-input-available","toolCallId":"c","toolName":"w","input":{}}'
INPUT_BAD = (
    b'{"type":"tool-input-error","toolCallId":"c","toolName":"w","input":"","errorText":"no"}'
)
OUTPUT = b'{"type":"tool-output-available","toolCallId":"c","output":1}'
OUTPUT_BAD = b'{"type":"tool-output-error","toolCallId":"c","errorText":"no"}'
ASK = b'{"type":"tool-approval-request","approvalId":"a","toolCallId":"c"}'
ANSWER = b'{"type":"tool-approval-response","approvalId":"a","approved":true}'
DENIED = b'{"type":"tool-output-denied","toolCallId":"c"}'
RESET = b'{"type":"reset-step"}'
ABORT = b'{"type":"abort"}'
ERROR = b'{"type":"error","errorText":"broken"}'
FINISH = b'{"type":"finish"}'
METADATA = b'{"type":"message-metadata","messageMetadata":{"a":1}}'
DATA = b'{"type":"data-x","data":1}'


def written(*lines: bytes) -> ChunkWriter:
    """Return a writer after some chunks."""
    return ChunkWriter.resume_from(map(decode, lines), MESSAGE_ID)


def lines_of(chunks: Sequence[AnyChunk]) -> list[bytes]:
    """Return each chunk's JSON."""
    return encode_lines(chunks).splitlines()


@pytest.mark.parametrize(
    "lines",
    [
        [START, FINISH],
        [START, ABORT, FINISH],
        [START, ERROR, FINISH],
        [START, DATA, METADATA, FINISH],
        [START, STEP, TEXT, TEXT_DELTA, TEXT_END, STEP_END, FINISH],
        [START, STEP, TEXT, TEXT_END, STEP_END, STEP, TEXT, TEXT_END, STEP_END, FINISH],
        [START, TEXT, REASONING, REASONING_DELTA, TEXT_DELTA, REASONING_END, TEXT_END, FINISH],
        [START, STEP, STEP, STEP_END, STEP_END, FINISH],
        [START, INPUT, INPUT_DELTA, INPUT_DONE, OUTPUT, OUTPUT, FINISH],
        [START, INPUT, INPUT_BAD, OUTPUT_BAD, FINISH],
        [START, INPUT_DONE, ASK, ANSWER, OUTPUT, FINISH],
        [START, INPUT_DONE, ASK, ANSWER, DENIED, FINISH],
        [START, INPUT_DONE, FINISH],
        [START, STEP, INPUT_DONE, STEP_END, STEP, OUTPUT, STEP_END, FINISH],
        [START, STEP, TEXT, RESET, TEXT, TEXT_END, STEP_END, FINISH],
        [START, STEP, INPUT_DONE, STEP_END, STEP, RESET, OUTPUT, STEP_END, FINISH],
    ],
)
def test_writer_takes_a_run_in_order(lines: list[bytes]) -> None:
    """All of these are runs."""
    writer = written(*lines)
    assert writer.started
    assert writer.ended


@pytest.mark.parametrize(
    ("lines", "chunk", "why"),
    [
        ([], TEXT, "text-start; it came before its start"),
        ([], FINISH, "finish; it came before its start"),
        ([START], START, "start; it came after its start"),
        ([START, FINISH], TEXT, "text-start; it came after its finish"),
        ([START, FINISH], FINISH, "finish; it came after its finish"),
        ([START, ABORT], DATA, "data-x; it came after its abort or error"),
        ([START, ERROR], ERROR, "error; it came after its abort or error"),
        ([START, TEXT], TEXT, 'text-start; the text part "0" is open already'),
        ([START], TEXT_DELTA, 'text-delta; there is no text part "0"'),
        ([START, REASONING], TEXT_END, 'text-end; no text part "0" is open'),
        ([START, TEXT], REASONING_DELTA, 'reasoning-delta; there is no reasoning part "0"'),
        ([START], REASONING_END, 'reasoning-end; no reasoning part "0" is open'),
        ([START], INPUT_DELTA, 'tool-input-delta; no tool input "c" is open'),
        ([START, INPUT, INPUT_DONE], INPUT_DELTA, 'tool-input-delta; no tool input "c" is open'),
        ([START, INPUT], INPUT, 'tool-input-start; the tool input "c" is open already'),
        ([START], OUTPUT, 'tool-output-available; there is no tool call with its input "c"'),
        ([START, INPUT], OUTPUT, 'available; there is no tool call with its input "c"'),
        ([START, INPUT_DONE, INPUT], DENIED, 'there is no tool call with its input "c"'),
        ([START, INPUT_DONE], ANSWER, 'tool-approval-response; there is no approval "a"'),
        ([START, STEP, INPUT_DONE, RESET], OUTPUT, 'there is no tool call with its input "c"'),
        ([START, STEP, INPUT], STEP, 'start-step; the tool input "c" is still open'),
        ([START, STEP, TEXT], STEP_END, 'finish-step; the text part "0" is still open'),
        ([START, STEP, REASONING], STEP_END, 'the reasoning part "0" is still open'),
        ([START], RESET, "reset-step; there is no step"),
        ([START, TEXT], ERROR, 'error; the text part "0" is still open'),
        ([START, INPUT], ABORT, 'abort; the tool input "c" is still open'),
    ],
)
def test_writer_refuses_a_chunk_out_of_order(lines: list[bytes], chunk: bytes, why: str) -> None:
    """The refusal names the chunk and what is wrong with its place, and changes nothing."""
    writer = written(*lines)
    with pytest.raises(IllegalChunkError) as refusal:
        writer.write(decode(chunk))
    assert str(refusal.value).startswith("unable to take the chunk ")
    assert why in str(refusal.value)
    if not writer.ended:
        assert lines_of(writer.finish()) == lines_of(written(*lines).finish())


def test_writer_closes_what_is_open_in_order() -> None:
    """Parts first, then tool inputs, then the step, then the end itself."""
    writer = written(START, STEP, INPUT, INPUT_DELTA, REASONING, TEXT)
    closing = [json.loads(line) for line in lines_of(writer.finish("length", Json(b'{"u":1}')))]
    assert closing == [
        {"type": "text-end", "id": "0"},
        {"type": "reasoning-end", "id": "0"},
        {
            "type": "tool-input-error",
            "toolCallId": "c",
            "toolName": "w",
            "input": {},
            "errorText": "The tool call was cut off: the answer ended before its input was"
            " complete.",
        },
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "length", "messageMetadata": {"u": 1}},
    ]


@pytest.mark.parametrize(
    ("encoding", "deltas", "given_input"),
    [
        (b"", [], b'""'),
        (b"", [b'{\\"city\\":', b'\\"Par'], b'"{\\"city\\":\\"Par"'),
        (b"", [b'{\\n\\"city\\":', b"1}"], b'{"city":1}'),
        (b',"inputEncoding":"text"', [b"{}"], b'"{}"'),
    ],
)
def test_writer_keeps_what_arrived_of_a_cut_input(
    encoding: bytes, deltas: list[bytes], given_input: bytes
) -> None:
    """JSON that is complete is the input; anything else is, as text."""
    start = INPUT[:-1] + encoding + b',"dynamic":true}'
    pieces = [
        b'{"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"%b"}' % delta
        for delta in deltas
    ]
    error, _, _ = lines_of(written(START, start, *pieces).abort())
    assert b'"input":%b,' % given_input in error
    assert error.endswith(b'"dynamic":true}')


def test_stopped_run_ends_in_abort_and_a_finish_without_reason() -> None:
    """`interrupted` would be an error to most clients. The cut part forgets its provider's id."""
    assert lines_of(written(START, TEXT).abort("user")) == [
        b'{"type":"text-end","id":"0","providerMetadata":{}}',
        b'{"type":"abort","reason":"user"}',
        FINISH,
    ]


def test_failed_run_sends_its_metadata_before_the_error() -> None:
    """Clients read nothing after the error. The step that was cut short is not finished."""
    assert lines_of(written(START, STEP).fail("broken", Json(b'{"a":1}'))) == [
        METADATA,
        ERROR,
        b'{"type":"finish","finishReason":"error"}',
    ]
    assert lines_of(written(START).fail("broken"))[0] == ERROR


def test_writer_ends_a_run_that_never_began() -> None:
    """Its `start` is made up for, so that the message has its id."""
    assert lines_of(ChunkWriter(MESSAGE_ID).abort()) == [START, ABORT, FINISH]


def test_writer_ends_a_run_that_died_between_error_and_finish() -> None:
    """Only what is missing is written."""
    assert lines_of(written(START, ERROR).fail("again")) == [
        b'{"type":"finish","finishReason":"error"}'
    ]


def test_writer_ends_a_run_once() -> None:
    """A second end is a bug of ours."""
    writer = written(START, FINISH)
    with pytest.raises(LocalProtocolError, match="it has its finish"):
        writer.abort()


BASE = UIMessage.parse(
    b'{"id":"answer","role":"assistant","parts":[{"type":"text","text":"x"},'
    b'{"type":"tool-w","toolCallId":"c","state":"input-available","input":{}},'
    b'{"type":"dynamic-tool","toolName":"w","toolCallId":"d","state":"approval-responded",'
    b'"input":{},"approval":{"id":"a","approved":true}}]}'
)


def test_writer_knows_the_calls_of_the_message_that_a_run_continues() -> None:
    """Results and answers for them are legal."""
    writer = ChunkWriter(MESSAGE_ID, BASE)
    for line in (START, STEP, RESET, OUTPUT, ANSWER):
        writer.write(decode(line))


CUT_CALL = (
    b'{"type":"tool-output-error","toolCallId":"d","errorText":"%b","dynamic":true}'
    % INTERRUPTED_CALL.encode()
)


@pytest.mark.parametrize(
    ("lines", "cut"),
    [
        ((), False),
        ((START,), True),
        ((START, b'{"type":"tool-output-available","toolCallId":"d","output":1}'), False),
        ((START, b'{"type":"tool-output-error","toolCallId":"d","errorText":"no"}'), False),
    ],
)
def test_writer_says_which_allowed_call_was_cut(lines: tuple[bytes, ...], cut: bool) -> None:
    """It may have begun as soon as the run has, and is not to be executed again."""
    for end in (ChunkWriter.abort, partial(ChunkWriter.fail, error_text="broken")):
        writer = ChunkWriter(MESSAGE_ID, BASE)
        for line in lines:
            writer.write(decode(line))
        assert (CUT_CALL in lines_of(end(writer))) is cut
    writer = ChunkWriter(MESSAGE_ID, BASE)
    assert CUT_CALL not in lines_of(writer.finish())


def test_writer_adds_the_ends_that_an_agent_left_out() -> None:
    """An agent's step that ends with open parts is taken, with their ends before it."""
    writer = written(START, STEP, TEXT, REASONING)
    assert lines_of(writer.admit(decode(STEP_END))) == [TEXT_END, REASONING_END, STEP_END]
    assert lines_of(writer.admit(decode(STEP))) == [STEP]
    assert lines_of(writer.admit(decode(INPUT))) == [INPUT]
    error, step = lines_of(writer.admit(decode(STEP)))
    assert b"the step ended before its input was complete" in error
    assert step == STEP


def test_writer_closes_what_a_reset_takes_back() -> None:
    """Clients that do not know the reset are left with parts that have ended."""
    writer = written(START, STEP, TEXT, REASONING, INPUT)
    *ends, error, reset = lines_of(writer.admit(decode(RESET)))
    assert ends == [TEXT_END, REASONING_END]
    assert b"the step was begun again before its input was complete" in error
    assert reset == RESET
    assert lines_of(writer.admit(decode(TEXT))) == [TEXT]
    with pytest.raises(IllegalChunkError, match="reset-step"):
        written(START, TEXT).admit(decode(RESET))


def test_writer_admits_nothing_of_a_step_out_of_place() -> None:
    """No end is made up for a chunk that is refused."""
    writer = written(START, FINISH)
    with pytest.raises(IllegalChunkError, match="finish-step"):
        writer.admit(decode(STEP_END))


@pytest.mark.parametrize("output", [OUTPUT, OUTPUT_BAD])
def test_writer_says_which_results_are_of_dynamic_calls(output: bytes) -> None:
    """Ai 5 finds a call by that, and agents leave it out."""
    dynamic_output = output[:-1] + b',"dynamic":true}'
    dynamic = written(START, INPUT_DONE[:-1] + b',"dynamic":true}')
    assert b'"dynamic":true' in lines_of(dynamic.admit(decode(output)))[0]
    assert lines_of(dynamic.admit(decode(dynamic_output))) == [dynamic_output]
    assert b"dynamic" not in lines_of(written(START, INPUT_DONE).admit(decode(dynamic_output)))[0]
    continued = ChunkWriter(MESSAGE_ID, BASE)
    continued.write(decode(START))
    (line,) = lines_of(continued.admit(decode(output.replace(b'"c"', b'"d"'))))
    assert b'"dynamic":true' in line
    with pytest.raises(IllegalChunkError):
        written(START).admit(decode(output))


@given(runs(), st.sampled_from(["finish", "abort", "fail"]))
def test_every_end_of_every_run_is_legal(
    run: tuple[Sequence[AnyChunk], ChunkWriter], end: str
) -> None:
    """Written after the run's chunks, its end is in order, ends in finish, and is the last."""
    chunks, writer = run
    if end == "finish":
        closing = writer.finish("stop")
    elif end == "abort":
        closing = writer.abort()
    else:
        closing = writer.fail("broken", Json(b"{}"))
    log = decode_lines(encode_lines([*chunks, *closing]))
    again = ChunkWriter.resume_from(log, MESSAGE_ID)
    assert again.ended
    assert isinstance(closing[-1], FinishChunk)
    assert (closing[-1].finish_reason is UNSET) is (end == "abort")
    kinds = [type(chunk) for chunk in closing]
    assert (AbortChunk in kinds, ErrorChunk in kinds) == (end == "abort", end == "fail")


@given(st.lists(any_chunk, max_size=40))
def test_what_a_writer_admits_is_legal(chunks: list[AnyChunk]) -> None:
    """An agent's chunks, with what was added to them, are a run."""
    writer = ChunkWriter(MESSAGE_ID)
    writer.write(decode(START))
    admitted = [decode(START)]
    for chunk in chunks:
        only_extends = writer.only_extends(chunk)
        try:
            written = writer.admit(chunk)
        except IllegalChunkError:
            assert not only_extends
            continue
        # Nothing but this chunk, and for the writer it need not even be written.
        assert written == [chunk] or not only_extends
        admitted += [] if only_extends else written
        assert only_extends is isinstance(chunk, TextDeltaChunk | ReasoningDeltaChunk)
    again = ChunkWriter.resume_from(admitted, MESSAGE_ID)
    assert lines_of(again.finish()) == lines_of(writer.finish())


def test_grammar_is_about_chunks_that_there_are() -> None:
    """Every row's field is one of its chunk, and everything that must be closed can be."""
    for kind, moves in MOVES.items():
        assert issubclass(kind, Chunk)
        assert {field for _, _, field in moves} <= {"", *kind.__struct_fields__}
    opened = {slot for moves in MOVES.values() for _, slot, _ in moves}
    assert opened >= set(CLOSED_AT_THE_END)
    assert {after for _, after in TURNS.values()} == set(Phase) - {Phase.UNSTARTED}
    assert MOVES[FinishStepChunk]
