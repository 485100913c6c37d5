"""Prompts for OpenAI of histories that are broken, cut, or partly unreadable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midstream.protocol.messages import UIMessage
from midstream.providers.base import StepRequest, ToolSpec
from midstream.providers.openai_chat.prompt import chat_request
from midstream.providers.openai_responses.prompt.request import responses_request
from midstream.providers.openai_responses.prompt.tools import answered_approvals

STEP = {"type": "step-start"}
REASONING = {
    "type": "reasoning",
    "text": "hm",
    "state": "done",
    "providerMetadata": {"openai": {"itemId": "rs_1"}},
}
TEXT = {
    "type": "text",
    "text": "Partial",
    "state": "done",
    "providerMetadata": {"openai": {"itemId": "msg_1"}},
}
SEARCH = {
    "type": "tool-web_search",
    "toolCallId": "ws_1",
    "state": "input-available",
    "input": {},
    "providerExecuted": True,
}


def message(role: str, *parts: object) -> UIMessage:
    return UIMessage.parse(json.dumps({"id": "m", "role": role, "parts": parts}).encode())


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def request(*messages: UIMessage, model: str = "gpt-5", **settings: Any) -> StepRequest:
    return StepRequest(model=model, messages=messages, new_id=lambda: "made-up", **settings)


def responses(*messages: UIMessage, **settings: Any) -> Any:
    return json.loads(responses_request(request(*messages, **settings)))


def chat(*messages: UIMessage, **settings: Any) -> Any:
    return json.loads(chat_request(request(*messages, **settings)))


@pytest.mark.parametrize(
    "parts",
    [
        (STEP, REASONING, {**TEXT, "state": "streaming"}),
        (STEP, REASONING, {**TEXT, "providerMetadata": {}}),
        (STEP, {**REASONING, "providerMetadata": {}}, TEXT),
    ],
    ids=["text-still-streams", "text-closed-for-the-provider", "reasoning-closed-for-it"],
)
def test_response_that_was_cut_short_is_sent_as_text(parts: tuple[object, ...]) -> None:
    """The provider stored nothing of it: a reference would fail this and every later request."""
    body = responses(
        message("user", text("x")), message("assistant", *parts), message("user", text("y"))
    )
    assert body["input"][1:2] == [{"role": "assistant", "content": "Partial"}]
    assert len(body["input"]) == 3


@pytest.mark.parametrize(
    "parts",
    [
        (STEP, REASONING),
        (STEP, {**REASONING, "state": "streaming"}),
        (STEP, SEARCH),
        (STEP, {**TEXT, "text": "", "providerMetadata": {}}),
        (STEP,),
        (),
    ],
    ids=["thought-only", "thinking", "searching", "opened-text", "begun", "empty"],
)
def test_step_that_came_to_nothing_is_left_out(parts: tuple[object, ...]) -> None:
    """Nothing of a step that was stopped before it said anything is sent."""
    history = (message("user", text("x")), message("assistant", *parts), message("user", text("y")))
    tools = [ToolSpec(name="web_search", provider_type="web_search")]
    assert [item["role"] for item in responses(*history, tools=tools)["input"]] == ["user", "user"]
    assert [item["role"] for item in chat(*history, model="gpt-4o")["messages"]] == ["user", "user"]


def test_unfinished_call_beside_a_finished_one_is_left_out() -> None:
    """A call without a result makes the API refuse the request."""
    done = {
        "type": "tool-a",
        "toolCallId": "c1",
        "state": "output-available",
        "input": {},
        "output": 1,
    }
    open_call = {
        "type": "tool-a",
        "toolCallId": "c2",
        "state": "input-streaming",
        "input": {"x": 1},
    }
    history = (message("user", text("x")), message("assistant", STEP, done, open_call))
    assert [item.get("call_id") for item in responses(*history)["input"]] == [None, "c1", "c1"]
    assert len(chat(*history)["messages"][1]["tool_calls"]) == 1


def test_part_that_cannot_be_read_is_left_out() -> None:
    """One malformed part costs itself, not the conversation."""
    body = responses(message("user", {"type": "text", "text": 5}, text("x"), {"no": "type"}))
    assert body["input"] == [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]


@pytest.mark.parametrize(
    "file",
    [
        {
            "mediaType": "application/zip",
            "url": "data:application/zip;base64,UEs=",
            "filename": "a.zip",
        },
        {"mediaType": "application/zip", "url": "blob:https://a.example/1", "filename": "a.zip"},
        {
            "mediaType": "application/zip",
            "url": "x",
            "filename": "a.zip",
            "providerReference": {"anthropic": "f"},
        },
    ],
    ids=["type", "address", "another-provider's"],
)
def test_file_that_the_api_does_not_take_becomes_a_note(file: dict[str, Any]) -> None:
    """The model can say that it does not see the file; the conversation goes on."""
    history = message("user", text("x"), {"type": "file", **file})
    note = "[A file a.zip of type application/zip is not shown: this model cannot read it.]"
    assert responses(history)["input"][0]["content"][1] == {"type": "input_text", "text": note}
    assert chat(history)["messages"][0]["content"][1] == {"type": "text", "text": note}


def test_message_taken_up_between_two_steps_is_the_persons() -> None:
    """A steering message is a user message where it was taken up."""
    steering = {"type": "steering-message", "id": "s", "parts": [text("shorter")]}
    history = (
        message("user", text("x")),
        message("assistant", STEP, text("Long"), steering, STEP, text("Short")),
    )
    roles = [(item["role"], item["content"]) for item in chat(*history)["messages"]]
    assert roles == [
        ("user", "x"),
        ("assistant", "Long"),
        ("user", "shorter"),
        ("assistant", "Short"),
    ]


def test_settings_of_the_provider_are_merged_over_the_body() -> None:
    """They win over ours, and what the answer must include is added to theirs."""
    body = responses(
        message("user", text("x")),
        provider_options={"store": False, "include": ["a"], "reasoning": {"effort": "low"}},
    )
    assert body["include"] == ["a", "reasoning.encrypted_content"]
    assert body["reasoning"] == {"effort": "low"}


def test_approved_call_keeps_the_id_that_it_was_shown_with() -> None:
    """The provider's result finds the call by the approval."""
    call = {
        "type": "dynamic-tool",
        "toolName": "mcp.echo",
        "toolCallId": "shown",
        "state": "approval-responded",
        "input": {},
        "approval": {"id": "mcpr_1", "approved": True},
    }
    assert answered_approvals([message("assistant", STEP, call)]) == {"mcpr_1": "shown"}


def test_answer_format_stands_beside_other_settings_of_the_text() -> None:
    """An agent asks for JSON by a schema, and for few words; its own format goes before."""
    asked = {"type": "json", "schema": {"type": "object"}, "name": "fact", "description": "One."}
    few = {"text": {"verbosity": "low"}}
    settings = {"parameters": {"response_format": asked}, "provider_options": few}
    body = responses(message("user", text("a")), **settings)
    assert body["text"] == {
        "verbosity": "low",
        "format": {
            "type": "json_schema",
            "name": "fact",
            "description": "One.",
            "strict": True,
            "schema": {"type": "object"},
        },
    }
    settings["provider_options"] = {"text": {"format": {"type": "text"}}}
    assert responses(message("user", text("a")), **settings)["text"]["format"] == {"type": "text"}


@pytest.mark.parametrize(
    "mark",
    [
        '"x"',
        '{"modelOutput": 3}',
        '{"modelOutput": {"type": "other"}}',
        '{"modelOutput": {"type": "content", "value": {}}}',
        '{"modelOutput": {"type": "content", "value": [{"type": 1}]}}',
        '{"modelOutput": true}',
    ],
)
def test_result_whose_parts_cannot_be_read_is_its_json(mark: str) -> None:
    """The conversation continues, even with such a result in it."""
    called = {
        "type": "tool-a",
        "toolCallId": "c",
        "state": "output-available",
        "input": {},
        "output": {"b": 1},
        "resultProviderMetadata": {"midstream": json.loads(mark)},
    }
    history = (message("user", text("Hi")), message("assistant", STEP, called))
    assert chat(*history)["messages"][-1]["content"] == '{"b":1}'
    assert responses(*history)["input"][-1]["output"] == '{"b":1}'
