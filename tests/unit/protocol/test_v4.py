"""Chunks of a run as the data stream of ai 4."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AbortChunk,
    CustomChunk,
    ErrorChunk,
    FileChunk,
    FinishChunk,
    FinishReason,
    FinishStepChunk,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    SourceDocumentChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import data_chunk
from midstream.protocol.v4 import DENIED, V4Encoder

if TYPE_CHECKING:
    from midstream.protocol.chunks import AnyChunk

START = (StartChunk(message_id="m1"), StartStepChunk())
END = (FinishStepChunk(), FinishChunk(finish_reason="stop"))
STEP_END = ("e", {"finishReason": "stop", "isContinued": False})
CALL: dict[str, Any] = {"tool_call_id": "c1", "tool_name": "look"}


def lines(*chunks: AnyChunk) -> list[tuple[str, Any]]:
    """Return the lines of a stream: their codes and values."""
    return read(V4Encoder().encode(chunks))


def read(data: bytes) -> list[tuple[str, Any]]:
    """Read lines as ai 4 reads them."""
    assert not data or data.endswith(b"\n")
    return [(line[0], json.loads(line[2:])) for line in data.decode().splitlines()]


def step(*chunks: AnyChunk) -> list[tuple[str, Any]]:
    """Return the lines of what stands in a step, without the step's and the run's."""
    seen = lines(*START, *chunks, FinishStepChunk(), FinishChunk(finish_reason="stop"))
    assert seen[0] == ("f", {"messageId": "m1"})
    return seen[1 : seen.index(STEP_END)]


def test_run_is_a_step_and_an_end() -> None:
    """The message's id comes with its step; the reason comes twice, as from ai 4 itself."""
    text = (
        TextStartChunk(id="t"),
        TextDeltaChunk(id="t", delta="Hé\n"),
        TextDeltaChunk(id="t", delta=""),
        TextEndChunk(id="t"),
    )
    assert lines(*START, *text, *END) == [
        ("f", {"messageId": "m1"}),
        ("0", "Hé\n"),
        STEP_END,
        ("d", {"finishReason": "stop"}),
    ]


@pytest.mark.parametrize("where", [0, 1, 2])
def test_usage_of_the_metadata_is_the_ends(where: int) -> None:
    """Whichever chunk brought it; metadata without it takes nothing away."""
    metadata = Raw(b'{"model":"m","usage":{"inputTokens":3,"outputTokens":4,"raw":{}}}')
    carriers = [
        (StartChunk(message_id="m1", message_metadata=metadata), FinishChunk()),
        (MessageMetadataChunk(message_metadata=metadata), FinishChunk()),
        (StartChunk(), FinishChunk(message_metadata=metadata)),
    ]
    chunks = (*carriers[where][:1], MessageMetadataChunk(message_metadata=Raw(b'{"mine":1}')))
    end = lines(*chunks, *carriers[where][1:])[-1]
    assert end == (
        "d",
        {"finishReason": "unknown", "usage": {"promptTokens": 3, "completionTokens": 4}},
    )


@pytest.mark.parametrize("metadata", [b'"text"', b'{"usage":7}', b'{"usage":{"inputTokens":"x"}}'])
def test_metadata_of_an_application_is_left_alone(metadata: bytes) -> None:
    """Metadata of another shape has no usage."""
    assert lines(FinishChunk(finish_reason="stop", message_metadata=Raw(metadata))) == [
        ("d", {"finishReason": "stop"})
    ]


@pytest.mark.parametrize(
    ("reason", "seen"),
    [("length", "length"), ("content-filter", "content-filter"), ("interrupted", "unknown")],
)
def test_reason_is_one_that_ai_4_knows(reason: FinishReason, seen: str) -> None:
    """A newer one is `unknown`."""
    assert lines(FinishChunk(finish_reason=reason)) == [("d", {"finishReason": seen})]


def test_stop_ends_the_step_without_a_reason() -> None:
    """ai 4 has no abort: what was said stays, and the reason is unknown."""
    assert lines(*START, AbortChunk(), FinishChunk()) == [
        ("f", {"messageId": "m1"}),
        ("e", {"finishReason": "unknown", "isContinued": False}),
        ("d", {"finishReason": "unknown"}),
    ]


def test_failure_is_an_error_line() -> None:
    """The client throws at it; what ends the stream says error too."""
    assert lines(*START, ErrorChunk(error_text="no"), FinishChunk()) == [
        ("f", {"messageId": "m1"}),
        ("3", "no"),
        ("e", {"finishReason": "error", "isContinued": False}),
        ("d", {"finishReason": "error"}),
    ]


def test_steps_before_the_last_end_for_their_calls() -> None:
    """A step's end waits for what follows: a further step means that tools were called."""
    called = ToolInputAvailableChunk(**CALL, input=Raw(b"{}"))
    result = ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b"1"))
    first = (*START, called, result, FinishStepChunk())
    second = (StartStepChunk(), FinishStepChunk(), StartStepChunk())
    assert [line for line in lines(*first, *second, *END) if line[0] in "fe"] == [
        ("f", {"messageId": "m1"}),
        ("e", {"finishReason": "tool-calls", "isContinued": False}),
        ("f", {"messageId": "m1"}),
        STEP_END,
        ("f", {"messageId": "m1"}),
        STEP_END,
    ]


def test_parts_outside_a_step_are_in_one_all_the_same() -> None:
    """An agent that knows no steps; without one the client would not learn the message's id."""
    assert lines(StartChunk(message_id="m1"), TextDeltaChunk(id="t", delta="Hi"), END[1]) == [
        ("f", {"messageId": "m1"}),
        ("0", "Hi"),
        STEP_END,
        ("d", {"finishReason": "stop"}),
    ]


def test_end_of_a_step_that_has_not_begun_is_no_line() -> None:
    """An agent may end a step that it did not begin."""
    assert lines(StartChunk(message_id="m1"), *END) == [("d", {"finishReason": "stop"})]


def test_streamed_call_is_start_deltas_call_and_result() -> None:
    """In the client's own words."""
    assert step(
        ToolInputStartChunk(**CALL),
        ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='{"a"'),
        ToolInputAvailableChunk(**CALL, input=Raw(b'{"a":1.0}')),
        ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b'["x"]')),
    ) == [
        ("b", {"toolCallId": "c1", "toolName": "look"}),
        ("c", {"toolCallId": "c1", "argsTextDelta": '{"a"'}),
        ("9", {"toolCallId": "c1", "toolName": "look", "args": {"a": 1.0}}),
        ("a", {"toolCallId": "c1", "result": ["x"]}),
    ]


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        (ToolOutputErrorChunk(tool_call_id="c1", error_text="broken"), "broken"),
        (ToolOutputDeniedChunk(tool_call_id="c1"), DENIED),
    ],
    ids=["failed", "denied"],
)
def test_call_without_a_result_has_its_error_as_one(chunk: AnyChunk, error: str) -> None:
    """An error line would end the client's run."""
    called = ToolInputAvailableChunk(**CALL, input=Raw(b"{}"))
    assert step(called, chunk)[-1] == ("a", {"toolCallId": "c1", "result": {"error": error}})


@pytest.mark.parametrize(
    ("given_input", "args"),
    [(b'{"a":1}', {"a": 1}), (b"[1]", [1]), (b'"raw"', {"input": "raw"}), (b"3", {"input": 3})],
)
def test_unusable_call_is_a_call_with_its_error(given_input: bytes, args: object) -> None:
    """ai 4 takes objects as arguments, and throws at all else."""
    chunk = ToolInputErrorChunk(**CALL, input=Raw(given_input), error_text="bad")
    assert step(chunk) == [
        ("9", {"toolCallId": "c1", "toolName": "look", "args": args}),
        ("a", {"toolCallId": "c1", "result": {"error": "bad"}}),
    ]


@pytest.mark.parametrize("answered", [True, False])
def test_answered_calls_of_the_last_step_are_followed_by_an_empty_one(answered: bool) -> None:
    """With `maxSteps` the client sends again when they are last; only open ones need that."""
    called = ToolInputAvailableChunk(**CALL, input=Raw(b"{}"))
    result = [ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b"1"))] if answered else []
    codes = [code for code, _ in lines(*START, called, *result, *END)]
    assert "".join(codes) == ("f9aefed" if answered else "f9ed")


def test_result_of_an_earlier_call_leaves_the_steps_own_open() -> None:
    """A continued run may begin with the result of a call that it did not make."""
    called = ToolInputAvailableChunk(**CALL, input=Raw(b"{}"))
    result = ToolOutputAvailableChunk(tool_call_id="c0", output=Raw(b"1"))
    codes = [code for code, _ in lines(*START, result, called, *END)]
    assert "".join(codes) == "fa9ed"


@pytest.mark.parametrize("where", [0, 1, 2])
def test_signature_comes_after_its_text(where: int) -> None:
    """Wherever it was: ai 4 gives it to the text before it."""
    signed = [
        Raw(b'{"anthropic":{"signature":"s"}}') if where == n else Raw(b"{}") for n in range(3)
    ]
    assert step(
        ReasoningStartChunk(id="r", provider_metadata=signed[0]),
        ReasoningDeltaChunk(id="r", delta="Hm"),
        ReasoningDeltaChunk(id="r", delta="", provider_metadata=signed[1]),
        ReasoningEndChunk(id="r", provider_metadata=signed[2]),
    ) == [("g", "Hm"), ("j", {"signature": "s"})]


def test_redacted_reasoning_is_its_data() -> None:
    """And nothing is said of reasoning whose metadata is of another shape."""
    redacted = Raw(b'{"anthropic":{"redactedData":"xyz"}}')
    assert step(
        ReasoningStartChunk(id="r", provider_metadata=redacted),
        ReasoningEndChunk(id="r"),
        ReasoningStartChunk(id="q", provider_metadata=Raw(b'{"mine":3}')),
        ReasoningEndChunk(id="q"),
    ) == [("i", {"data": "xyz"})]


def test_sources_files_and_data_have_their_lines() -> None:
    """A page, a file whose bytes are there, and an application's own data."""
    assert step(
        SourceUrlChunk(source_id="s1", url="https://a.example", title="A"),
        SourceUrlChunk(source_id="s2", url="https://b.example", provider_metadata=Raw(b'{"p":1}')),
        FileChunk(url="data:image/png;base64,AAAA", media_type="image/png"),
        data_chunk("weather", Raw(b'{"t":20}')),
    ) == [
        ("h", {"sourceType": "url", "id": "s1", "url": "https://a.example", "title": "A"}),
        (
            "h",
            {
                "sourceType": "url",
                "id": "s2",
                "url": "https://b.example",
                "providerMetadata": {"p": 1},
            },
        ),
        ("k", {"data": "AAAA", "mimeType": "image/png"}),
        ("2", [{"type": "data-weather", "data": {"t": 20}}]),
    ]


def test_what_ai_4_has_no_part_for_is_left_out() -> None:
    """It would throw at it."""
    assert (
        step(
            SourceDocumentChunk(source_id="s", media_type="text/plain", title="D"),
            FileChunk(url="https://a.example/f.png", media_type="image/png"),
            CustomChunk(kind="a.b"),
            OpaqueChunk(type="brand-new", raw=b'{"type":"brand-new"}'),
        )
        == []
    )


RUN: tuple[AnyChunk, ...] = (
    *START,
    ReasoningStartChunk(id="r"),
    ReasoningDeltaChunk(id="r", delta="Hm"),
    ReasoningDeltaChunk(
        id="r", delta="", provider_metadata=Raw(b'{"anthropic":{"signature":"s"}}')
    ),
    ReasoningEndChunk(id="r"),
    ToolInputStartChunk(**CALL),
    ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='{"a":1}'),
    ToolInputAvailableChunk(**CALL, input=Raw(b'{"a":1}')),
    ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b"1")),
    FinishStepChunk(),
    StartStepChunk(),
    TextStartChunk(id="t"),
    TextDeltaChunk(id="t", delta="Done"),
    TextEndChunk(id="t"),
    *END,
)


@given(cuts=st.sets(st.integers(0, len(RUN))))
def test_stream_is_the_same_however_the_chunks_come(cuts: set[int]) -> None:
    """A reader gets them in batches of any size."""
    encoder = V4Encoder()
    places = [0, *sorted(cuts), len(RUN)]
    batches = [RUN[a:b] for a, b in pairwise(places)]
    assert b"".join(map(encoder.encode, batches)) == V4Encoder().encode(RUN)


@given(joined=st.integers(1, len(RUN) - 1))
def test_late_joiner_gets_what_the_others_have(joined: int) -> None:
    """The state so far and the rest, wherever it joins, make the same parts."""
    assembler = Assembler("m1")
    for chunk in RUN[:joined]:
        assembler.apply(chunk)
    late = lines(*assembler.replay(), *RUN[joined:])
    assert made_of(late) == made_of(lines(*RUN))


def made_of(seen: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what a client makes of a stream."""
    return {
        "text": "".join(value for code, value in seen if code == "0"),
        "reasoning": "".join(value for code, value in seen if code == "g"),
        "signatures": [value["signature"] for code, value in seen if code == "j"],
        "results": {v["toolCallId"]: v["result"] for code, v in seen if code == "a"},
        "steps": [(code, value) for code, value in seen if code in "fed"],
    }
