"""AG-UI's requests and events, without its client."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from midstream.protocol.ag_ui import AgUiEncoder
from midstream.protocol.ag_ui_requests import AgUiRequest
from midstream.protocol.chunks import (
    AbortChunk,
    AnyChunk,
    ErrorChunk,
    FinishChunk,
    FinishStepChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import data_chunk
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import json_of


def events(*chunks: AnyChunk) -> list[dict[str, Any]]:
    body = AgUiEncoder("thread", "run").encode(chunks)
    return [json.loads(event[6:]) for event in body.split(b"\n\n") if event]


def types(*chunks: AnyChunk) -> list[str]:
    return [event["type"] for event in events(*chunks)]


def request(**fields: object) -> AgUiRequest:
    body = {"threadId": "t", "runId": "r", "messages": [], **fields}
    return AgUiRequest(json.dumps(body).encode())


def call(name: str = "weather", id_: str = "c1") -> ToolInputAvailableChunk:
    return ToolInputAvailableChunk(
        tool_call_id=id_, tool_name=name, input=json_of({"city": "Paris"})
    )


def test_call_that_waits_for_the_client_is_pending_and_one_for_a_person_interrupts() -> None:
    start = StartChunk(message_id="m")
    *_, pending = events(start, call(), FinishChunk())
    assert pending["outcome"] == {"type": "success", "pendingToolCallIds": ["c1"]}

    asked = ToolApprovalRequestChunk(approval_id="a1", tool_call_id="c1", reason="It costs money.")
    *_, interrupted = events(start, call(), asked, FinishChunk())
    assert interrupted["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {"id": "a1", "reason": "approval", "toolCallId": "c1", "message": "It costs money."}
        ],
    }
    answered = ToolOutputAvailableChunk(tool_call_id="c1", output=json_of("sunny"))
    *_, result, finished = events(start, call(), answered, FinishChunk())
    assert (result["content"], finished["outcome"]) == ("sunny", {"type": "success"})


def test_what_is_open_is_closed_before_the_end_and_nothing_follows_it() -> None:
    said = [
        StartChunk(message_id="m"),
        StartStepChunk(),
        TextStartChunk(id="0"),
        TextDeltaChunk(id="0", delta="Hi"),
    ]
    ended = ["RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
    ended += ["TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED"]
    assert types(*said, AbortChunk(), FinishChunk(), TextDeltaChunk(id="0", delta="late")) == ended


_IDS: Final = {"threadId": "thread", "runId": "run"}
_THOUGHT: Final = {"messageId": "m-1"}
TOLD: Final = [
    {"type": "RUN_STARTED", **_IDS},
    {"type": "STEP_STARTED", "stepName": "step 1"},
    {"type": "REASONING_START", **_THOUGHT},
    {"type": "REASONING_MESSAGE_START", **_THOUGHT, "role": "reasoning"},
    {"type": "REASONING_MESSAGE_CONTENT", **_THOUGHT, "delta": "Hm"},
    {"type": "REASONING_MESSAGE_END", **_THOUGHT},
    {"type": "REASONING_END", **_THOUGHT},
    {
        "type": "TOOL_CALL_START",
        "toolCallId": "c1",
        "toolCallName": "weather",
        "parentMessageId": "m",
    },
    {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '{"city":'},
    {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '"Paris"}'},
    {"type": "TOOL_CALL_END", "toolCallId": "c1"},
    {
        "type": "TOOL_CALL_RESULT",
        "messageId": "c1-result",
        "toolCallId": "c1",
        "content": '{"t":7}',
        "role": "tool",
    },
    {"type": "STEP_FINISHED", "stepName": "step 1"},
    {"type": "STEP_STARTED", "stepName": "step 2"},
    {"type": "CUSTOM", "name": "source-url", "value": {"sourceId": "s", "url": "https://x"}},
    {"type": "TEXT_MESSAGE_START", "messageId": "m-2", "role": "assistant"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-2", "delta": "7 degrees"},
    {"type": "TEXT_MESSAGE_END", "messageId": "m-2"},
    {"type": "STEP_FINISHED", "stepName": "step 2"},
    {"type": "RUN_FINISHED", **_IDS, "outcome": {"type": "success"}},
]
"""The events of the run below."""


def test_whole_run_is_told_event_by_event() -> None:
    """A thought, a call whose input streams, its result, a source, a text; in two steps."""
    told = events(
        StartChunk(message_id="m"),
        StartStepChunk(),
        ReasoningStartChunk(id="r"),
        ReasoningDeltaChunk(id="r", delta="Hm"),
        ReasoningDeltaChunk(id="r", delta=""),
        ReasoningEndChunk(id="r"),
        ToolInputStartChunk(tool_call_id="c1", tool_name="weather"),
        ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='{"city":'),
        ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='"Paris"}'),
        call(),
        ToolOutputAvailableChunk(tool_call_id="c1", output=json_of(1), preliminary=True),
        ToolOutputAvailableChunk(tool_call_id="c1", output=json_of({"t": 7})),
        FinishStepChunk(),
        StartStepChunk(),
        SourceUrlChunk(source_id="s", url="https://x"),
        TextStartChunk(id="0"),
        TextDeltaChunk(id="0", delta="7 degrees"),
        TextEndChunk(id="0"),
        FinishStepChunk(),
        FinishChunk(),
    )
    assert told == TOLD


def test_failure_is_the_last_event() -> None:
    """What is open is closed before it, a thought and a call too."""
    told = types(
        StartChunk(message_id="m"),
        ReasoningStartChunk(id="r"),
        ToolInputStartChunk(tool_call_id="c1", tool_name="weather"),
        ErrorChunk(error_text="unable to go on"),
        FinishChunk(),
    )
    assert told[-4:] == ["REASONING_MESSAGE_END", "REASONING_END", "TOOL_CALL_END", "RUN_ERROR"]


@pytest.mark.parametrize(
    ("end", "content"),
    [
        (ToolOutputErrorChunk(tool_call_id="c1", error_text="away"), "away"),
        (ToolOutputDeniedChunk(tool_call_id="c1"), "The call was denied."),
    ],
)
def test_call_without_an_output_has_its_reason_as_its_result(end: AnyChunk, content: str) -> None:
    asked = ToolApprovalRequestChunk(approval_id="a1", tool_call_id="c1")
    answered = ToolApprovalResponseChunk(approval_id="a1", approved=False)
    *_, result, finished = events(call(), asked, answered, end, FinishChunk())
    assert (result["content"], finished["outcome"]) == (content, {"type": "success"})


def test_input_that_the_model_got_wrong_is_told_with_the_error() -> None:
    wrong = ToolInputErrorChunk(
        tool_call_id="c1", tool_name="weather", input=json_of("Par"), error_text="no JSON"
    )
    *_, arguments, _, result = events(StartChunk(message_id="m"), wrong)
    assert (arguments["delta"], result["content"]) == ('"Par"', "no JSON")


def test_deltas_of_nothing_that_is_open_are_passed_over() -> None:
    assert types(
        TextDeltaChunk(id="0", delta="x"),
        ReasoningDeltaChunk(id="0", delta="x"),
        ToolInputDeltaChunk(tool_call_id="c", input_text_delta="x"),
        TextEndChunk(id="0"),
        ReasoningEndChunk(id="0"),
        FinishStepChunk(),
    ) == ["RUN_STARTED"]


def test_repeated_step_begins_messages_of_its_own() -> None:
    one = [StartChunk(message_id="m"), StartStepChunk(), TextStartChunk(id="0")]
    again = [ResetStepChunk(), TextStartChunk(id="0"), FinishChunk()]
    told = [e["messageId"] for e in events(*one, *again) if e["type"] == "TEXT_MESSAGE_START"]
    assert told == ["m", "m-2"]


def test_data_is_custom_under_its_own_name() -> None:
    told = events(StartChunk(message_id="m"), data_chunk("status", json_of({"text": "Searching"})))
    assert told[1] == {
        "type": "CUSTOM",
        "name": "data-status",
        "value": {"data": {"text": "Searching"}},
    }


def test_message_of_a_person_has_its_texts_and_files() -> None:
    content = [
        {"type": "text", "text": "Look"},
        {
            "type": "image",
            "source": {"type": "url", "value": "https://x", "mimeType": "image/png"},
        },
        {"type": "document", "source": {"type": "data", "value": "QQ==", "mimeType": "text/plain"}},
    ]
    asked = request(messages=[{"id": "u", "role": "user", "content": content}], context=[1], x=2)
    assert not asked.answers
    assert json.loads(bytes(asked.rest)) == {"context": [1]}
    assert json.loads(bytes(asked.message().raw))["parts"] == [
        {"type": "text", "text": "Look"},
        {"type": "file", "mediaType": "image/png", "url": "https://x"},
        {"type": "file", "mediaType": "text/plain", "url": "data:text/plain;base64,QQ=="},
    ]


def stored() -> UIMessage:
    parts = [
        {"type": "tool-a", "toolCallId": "c1", "state": "input-available", "input": {}},
        {
            "type": "tool-b",
            "toolCallId": "c2",
            "state": "approval-requested",
            "input": {},
            "approval": {"id": "a1", "signature": "s"},
        },
        {"type": "tool-c", "toolCallId": "c3", "state": "output-available", "output": 1},
    ]
    return UIMessage.parse(json.dumps({"id": "m", "role": "assistant", "parts": parts}).encode())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "sunny"}, {"state": "output-available", "output": "sunny"}),
        ({"content": '{"t": 7}'}, {"state": "output-available", "output": {"t": 7}}),
        ({"content": "{no json"}, {"state": "output-available", "output": "{no json"}),
        ({"content": "", "error": "away"}, {"state": "output-error", "errorText": "away"}),
    ],
)
def test_result_of_a_tool_answers_its_call_alone(
    fields: dict[str, str], expected: dict[str, object]
) -> None:
    tool = {"id": "t1", "role": "tool", "toolCallId": "c1", **fields}
    other = {"id": "t2", "role": "tool", "toolCallId": "c3", "content": "forged"}
    asked = request(messages=[{"id": "u", "role": "user"}, tool, other])
    before = json.loads(bytes(stored().raw))["parts"]
    parts = json.loads(bytes(asked.answered(stored()).raw))["parts"]
    assert parts == [{**before[0], **expected}, before[1], before[2]]


@pytest.mark.parametrize(
    ("entry", "answer"),
    [
        ({"status": "resolved"}, {"approved": True}),
        ({"status": "resolved", "payload": False}, {"approved": False}),
        ({"status": "resolved", "payload": None}, {"approved": True}),
        (
            {"status": "resolved", "payload": {"approved": False, "reason": "Too dear."}},
            {"approved": False, "reason": "Too dear."},
        ),
        ({"status": "cancelled", "payload": {"approved": True}}, {"approved": False}),
    ],
)
def test_resumed_interrupt_answers_the_approval(
    entry: dict[str, object], answer: dict[str, object]
) -> None:
    asked = request(resume=[{"interruptId": "a1", **entry}])
    _, part, _ = json.loads(bytes(asked.answered(stored()).raw))["parts"]
    assert part["state"] == "approval-responded"
    assert part["approval"] == {"id": "a1", "signature": "s", **answer}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": 3},
        {"threadId": 1, "messages": [{"id": "u", "role": "user", "content": "x"}]},
        {"messages": [{"id": "u", "role": "assistant", "content": "x"}]},
    ],
)
def test_request_that_asks_for_nothing_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedFrameError):
        request(**fields)


def test_part_that_no_person_says_is_refused() -> None:
    content = [{"type": "hologram"}]
    asked = request(messages=[{"id": "u", "role": "user", "content": content}])
    with pytest.raises(MalformedFrameError):
        asked.message()


def test_answer_to_an_approval_that_cannot_be_read_is_refused() -> None:
    asked = request(resume=[{"interruptId": "a1", "status": "resolved", "payload": [1]}])
    with pytest.raises(MalformedFrameError):
        asked.answered(stored())


def test_part_of_another_version_is_left_as_it_is() -> None:
    odd = UIMessage.parse(b'{"id":"m","role":"assistant","parts":[{"kind":"new"}]}')
    asked = request(resume=[{"interruptId": "a1", "status": "resolved"}])
    assert json.loads(bytes(asked.answered(odd).raw))["parts"] == [{"kind": "new"}]
