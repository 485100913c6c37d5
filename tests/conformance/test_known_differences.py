"""Requests and streams at which the AI SDK fails, and we do not."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.providers.base import StepRequest
from gateway.providers.prompts.anthropic import build_request
from gateway.providers.prompts.openai_chat import chat_request
from gateway.providers.prompts.openai_responses_request import responses_request
from protocol.messages import UIMessage
from tests.conformance.deviations import deviates
from tests.conformance.openai_oracle import ask_ai_sdk, tool_specs, translate

Json = dict[str, Any]

PROVIDERS: Final = ["anthropic", "openai-responses", "openai-chat"]
ADD: Final[Json] = {"type": "function", "name": "add", "inputSchema": {"type": "object"}}
VIDEO: Final[Json] = {
    "type": "file",
    "mediaType": "video/mp4",
    "filename": "a.mp4",
    "url": "data:video/mp4;base64,AAAA",
}


def said(text: str, *parts: Json) -> Json:
    """Return a user's message."""
    return {"id": text, "role": "user", "parts": [{"type": "text", "text": text}, *parts]}


def ai_sdks_failure(provider: str, messages: list[Json]) -> str:
    """Return what the AI SDK says instead of sending a request."""
    driver = "anthropic_request.mjs" if provider == "anthropic" else "openai_request.mjs"
    case = {
        "provider": provider,
        "model": "claude-sonnet-4-5" if provider == "anthropic" else "gpt-4o",
        "messages": messages,
        "tools": [ADD],
        # As a route does by default.
        "ignoreIncomplete": False,
    }
    (answer,) = ask_ai_sdk(driver, [case])
    return str(answer["@error"])


def our_messages(provider: str, messages: list[Json]) -> str:
    """Return the messages of the request that we send."""
    request = StepRequest(
        model="claude-sonnet-4-5" if provider == "anthropic" else "gpt-4o",
        messages=[UIMessage.parse(json.dumps(message).encode()) for message in messages],
        tools=tool_specs([ADD]),
        new_id=str,
    )
    if provider == "anthropic":
        return json.dumps(build_request(request).body["messages"])
    make = responses_request if provider == "openai-responses" else chat_request
    body = json.loads(make(request))
    return json.dumps(body["input" if provider == "openai-responses" else "messages"])


@deviates("file-note")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_file_that_the_api_does_not_take_becomes_a_note(provider: str) -> None:
    """The AI SDK refuses to send it."""
    messages = [said("Look", VIDEO)]
    assert "functionality not supported" in ai_sdks_failure(provider, messages)
    sent = our_messages(provider, messages)
    assert "Look" in sent
    assert "a.mp4 of type video/mp4 is not shown" in sent


@deviates("unfinished-calls-left-out")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_call_without_a_result_is_left_out(provider: str) -> None:
    """The AI SDK refuses to send it, unless its route says otherwise."""
    call = {"type": "tool-add", "toolCallId": "c1", "state": "input-available", "input": {}}
    answer = {"id": "a", "role": "assistant", "parts": [{"type": "step-start"}, call]}
    messages = [said("add"), answer, said("go on")]
    assert "Tool result is missing" in ai_sdks_failure(provider, messages)
    sent = our_messages(provider, messages)
    assert "go on" in sent
    assert "c1" not in sent


@deviates("not-open-not-written")
def test_delta_of_nothing_makes_no_chunk() -> None:
    """The AI SDK makes an error of it, at which the client stops reading."""
    events = [
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
    texts = [json.dumps(event) for event in events]
    case = {"provider": "openai-responses", "model": "m", "events": texts, "tools": []}
    (theirs,) = ask_ai_sdk("openai_stream.mjs", [{**case, "providerOptions": {}}])
    assert "error" in [chunk["type"] for chunk in theirs["chunks"]]
    chunks, result = translate("openai-responses", [text.encode() for text in texts])
    assert [chunk["type"] for chunk in chunks] == ["start-step"]
    assert result.finish_reason == theirs["finishReason"]
