"""Our requests to OpenAI for a history are those of the AI SDK."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.providers.base import StepRequest
from gateway.providers.prompts.openai_chat import chat_request
from gateway.providers.prompts.openai_responses_request import responses_request
from protocol.messages import UIMessage
from tests.conformance.openai_oracle import ask_ai_sdk, tool_specs

HISTORIES = Path(__file__).parent / "transcripts" / "openai-requests"

# The AI SDK's options of a case, and what the API calls them.
OPTIONS = {
    "store": "store",
    "conversation": "conversation",
    "previousResponseId": "previous_response_id",
}
CORPORA = [
    ("openai-responses", "both"),
    ("openai-responses", "openai-responses"),
    ("openai-chat", "both"),
    ("openai-chat", "openai-chat"),
]


def _cases(corpus: str) -> list[dict[str, Any]]:
    return list(json.loads((HISTORIES / f"{corpus}.json").read_bytes()))


def _our_request(provider: str, case: dict[str, Any]) -> Any:
    request = StepRequest(
        model=case.get("model", "gpt-4o"),
        messages=[UIMessage.parse(json.dumps(message).encode()) for message in case["messages"]],
        system=case.get("system"),
        tools=tool_specs(case.get("tools", [])),
        tool_choice=case.get("toolChoice"),
        parameters={
            re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value
            for name, value in case.get("settings", {}).items()
        },
        provider_options={api: case[name] for name, api in OPTIONS.items() if name in case},
        new_id=lambda: "made-up",
    )
    body = responses_request if provider == "openai-responses" else chat_request
    return json.loads(body(request))


@pytest.mark.parametrize(("provider", "corpus"), CORPORA)
def test_request_is_what_the_ai_sdk_sends(provider: str, corpus: str) -> None:
    """For each history, with its tools and settings: the same body, field by field."""
    cases = _cases(corpus)
    answers = ask_ai_sdk(
        "openai_request.mjs",
        [
            {
                "model": "gpt-4o",
                **case,
                "provider": provider,
                "providerOptions": {
                    "openai": {name: case[name] for name in OPTIONS if name in case}
                },
            }
            for case in cases
        ],
    )
    differences = {
        case["name"]: (ours, theirs)
        for case, theirs in zip(cases, answers, strict=True)
        if (ours := _our_request(provider, case)) != theirs
    }
    assert differences == {}
