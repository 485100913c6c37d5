"""Requests and streams that fail in the AI SDK, but not here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.deviations import deviates
from tests.conformance.oracle import PROVIDERS, our_request, translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.providers.base import StepResult
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

ADD: Final[Json] = {"type": "function", "name": "add", "inputSchema": {"type": "object"}}
ARCHIVE: Final[Json] = {
    "type": "file",
    "mediaType": "application/zip",
    "filename": "a.zip",
    "url": "data:application/zip;base64,UEsDBA==",
}


def said(text: str, *parts: Json) -> Json:
    """Return a user's message."""
    return {"id": text, "role": "user", "parts": [{"type": "text", "text": text}, *parts]}


def ai_sdks_failure(ai_sdk: AiSdk, provider: str, messages: list[Json]) -> str:
    """Return the AI SDK's error, which takes the place of a request."""
    case = {
        "provider": provider,
        "messages": messages,
        "tools": [ADD],
        # As a route does by default.
        "ignoreIncomplete": False,
    }
    (answer,) = ai_sdk.requests([case])
    return str(answer["@error"])


def our_messages(provider: str, messages: list[Json]) -> str:
    """Return the messages of our request."""
    body = our_request(provider, {"messages": messages, "tools": [ADD]})["body"]
    return json.dumps(body["input" if provider == "openai-responses" else "messages"])


@deviates("file-note")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_file_that_the_api_does_not_take_becomes_a_note(provider: str, ai_sdk: AiSdk) -> None:
    """The AI SDK refuses to send it."""
    messages = [said("Look", ARCHIVE)]
    assert "functionality not supported" in ai_sdks_failure(ai_sdk, provider, messages)
    sent = our_messages(provider, messages)
    assert "Look" in sent
    assert "a.zip of type application/zip is not shown" in sent


@deviates("unfinished-calls-left-out")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_call_without_a_result_is_left_out(provider: str, ai_sdk: AiSdk) -> None:
    """The AI SDK refuses to send it, unless its route allows it."""
    call = {"type": "tool-add", "toolCallId": "c1", "state": "input-available", "input": {}}
    answer = {"id": "a", "role": "assistant", "parts": [{"type": "step-start"}, call]}
    messages = [said("add"), answer, said("go on")]
    assert "Tool result is missing" in ai_sdks_failure(ai_sdk, provider, messages)
    sent = our_messages(provider, messages)
    assert "go on" in sent
    assert "c1" not in sent


@deviates("not-open-not-written")
def test_delta_of_nothing_makes_no_chunk(ai_sdk: AiSdk) -> None:
    """In the AI SDK it becomes an error, at which the client stops reading."""
    events: list[Json] = [
        {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}},
        {
            "type": "response.output_text.delta",
            "item_id": "m1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hi",
        },
        {
            "type": "response.completed",
            "response": {"id": "r", "usage": {"input_tokens": 1, "output_tokens": 1}},
        },
    ]
    failed, theirs, chunks, result = both(ai_sdk, "openai-responses", events)
    assert "error" in [chunk["type"] for chunk in failed]
    assert [chunk["type"] for chunk in chunks] == ["start-step"]
    assert result.finish_reason == theirs["finishReason"]


CHAT_HEAD: Final[Json] = {"id": "c", "created": 1, "model": "m"}
CALL: Final[Json] = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{}"}}


def chat(delta: Json, finish_reason: str | None = None) -> Json:
    """Return a chunk of Chat Completions."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**CHAT_HEAD, "choices": [choice]}


def response(*items: Json) -> list[Json]:
    """Return a response with one event for each item."""
    created = {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}}
    return [created, *items, {"type": "response.completed", "response": {"id": "r"}}]


def both(
    ai_sdk: AiSdk, provider: str, events: Sequence[Json | str]
) -> tuple[list[Json], Json, list[Json], StepResult]:
    """Return the AI SDK's chunks and whole answer, then our chunks and result."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    case = {"provider": provider, "model": "m", "events": texts, "tools": [ADD]}
    (theirs,) = ai_sdk.streams([case])
    chunks, result = translate(provider, [text.encode() for text in texts], case)
    return theirs["chunks"], theirs, chunks, result


@deviates("loose-events")
@pytest.mark.parametrize(
    ("loose", "strict"),
    [
        pytest.param(
            chat({"tool_calls": [CALL | {"type": ""}]}),
            chat({"tool_calls": [CALL]}),
            id="type of a call",
        ),
        pytest.param(
            chat({"tool_calls": [{k: v for k, v in CALL.items() if k != "index"}]}),
            chat({"tool_calls": [CALL]}),
            id="index of a call",
        ),
        pytest.param(
            chat({"role": "tool", "content": "Hi"}), chat({"content": "Hi"}), id="role of a message"
        ),
        pytest.param(
            {**CHAT_HEAD, "choices": None, "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            {**CHAT_HEAD, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            id="choices beside usage",
        ),
    ],
)
def test_event_that_says_enough_is_read(loose: Json, strict: Json, ai_sdk: AiSdk) -> None:
    """It is read as if it were complete; in the AI SDK it becomes an error."""
    end = chat({}, "stop")
    failed, _, chunks, result = both(ai_sdk, "openai-chat", [loose, end])
    assert "error" in [chunk["type"] for chunk in failed]
    read, _, same_chunks, same_result = both(ai_sdk, "openai-chat", [strict, end])
    assert "error" not in [chunk["type"] for chunk in read]
    assert (chunks, result) == (same_chunks, same_result)
    assert result.warning is None


@pytest.mark.parametrize("before", [[], [chat({"content": "Hi"})]], ids=["first", "later"])
def test_error_beside_null_choices_is_an_error(before: list[Json], ai_sdk: AiSdk) -> None:
    """The AI SDK fails, too."""
    event = {"choices": None, "error": {"message": "boom", "code": "server_error"}}
    theirs, _, _, result = both(ai_sdk, "openai-chat", [*before, event])
    assert "boom" in [chunk.get("errorText") for chunk in theirs]
    assert result.failure is not None


@deviates("hosted-calls-elsewhere")
def test_call_that_another_provider_has_executed_is_left_out_of_a_chat_completion() -> None:
    """It has no result that the API accepts; the text beside it stays."""
    parts = [
        {
            "type": "tool-web_search",
            "toolCallId": "srvtoolu_1",
            "state": "output-available",
            "input": {"query": "Rome"},
            "output": [],
            "providerExecuted": True,
        },
        {"type": "text", "text": "Sunny."},
    ]
    history = [said("How is it?"), {"id": "a", "role": "assistant", "parts": parts}, said("Thanks")]
    ours = our_messages("openai-chat", history)
    assert "srvtoolu_1" not in ours
    assert [message.get("content") for message in json.loads(ours)] == [
        "How is it?",
        "Sunny.",
        "Thanks",
    ]


@deviates("call-names-fit")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_call_with_an_id_that_the_api_refuses_is_sent_with_another(provider: str) -> None:
    """Its result gets the same id; names are changed in the same way."""
    part = {
        "type": "dynamic-tool",
        "toolName": "geo.weather",
        "toolCallId": "functions.weather:0",
        "state": "output-available",
        "input": {},
        "output": "Sunny.",
    }
    history = [
        said("How is it?"),
        {"id": "a", "role": "assistant", "parts": [part]},
        said("Thanks"),
    ]
    ours = our_messages(provider, history)
    assert "geo.weather" not in ours
    if provider == "anthropic":
        assert "functions.weather:0" not in ours
    if provider == "openai-compatible":
        assert ours.count("functions.weather:0") == 2


@deviates("unreadable-event-is-said-last")
@pytest.mark.parametrize(
    "item",
    [
        pytest.param(
            {
                "type": "custom_tool_call",
                "id": "ctc_1",
                "call_id": "c1",
                "name": "add",
                "input": "DROP TABLE a",
                "status": "incomplete",
            },
            id="a custom tool's call that was cut short",
        ),
        pytest.param(
            {"type": "image_generation_call", "id": "ig_1", "status": "failed", "result": None},
            id="an image that was not made",
        ),
    ],
)
def test_item_that_came_to_nothing_is_an_error_and_no_output(item: Json, ai_sdk: AiSdk) -> None:
    """A call that was cut is not executed; the AI SDK reports it at once, we at the end."""
    event = {"type": "response.output_item.done", "output_index": 0, "item": item}
    theirs, answer, chunks, result = both(ai_sdk, "openai-responses", response(event))
    assert [chunk["type"] for chunk in theirs if chunk["type"].startswith("tool")] == []
    assert "error" in [chunk["type"] for chunk in theirs]
    assert [chunk["type"] for chunk in chunks] == ["start-step"]
    assert result.warning is not None
    assert result.tool_calls == ()
    assert result.finish_reason == answer["finishReason"] == "error"


@deviates("cut-response-marked")
def test_finished_items_of_a_response_that_was_cut_are_followed_by_a_mark(ai_sdk: AiSdk) -> None:
    """Otherwise a later request would refer to items that the provider never stored."""
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    at = {"output_index": 0, "item": item}
    events = response(
        {"type": "response.output_item.added", **at}, {"type": "response.output_item.done", **at}
    )
    theirs, answer, chunks, result = both(ai_sdk, "openai-responses", events[:-1])
    assert chunks[-1] == {"type": "custom", "kind": "openai.interrupted"}
    assert "custom" not in [chunk["type"] for chunk in theirs]
    assert result.finish_reason == answer["finishReason"] == "interrupted"


@deviates("mark-is-an-end")
def test_answer_that_ends_in_its_mark_is_finished_without_a_reason(ai_sdk: AiSdk) -> None:
    """The AI SDK ignores the mark."""
    said = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    _, answer, _, result = both(ai_sdk, "openai-chat", [said, "[DONE]"])
    assert answer["finishReason"] == "interrupted"
    assert result.finish_reason == "other"
