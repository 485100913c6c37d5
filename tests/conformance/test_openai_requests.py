"""Our requests to OpenAI for a history equal the AI SDK's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.oracle import OPTIONS, our_request, without_orphans

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

HISTORIES = Path(__file__).parent / "transcripts" / "openai-requests"

CORPORA = [
    ("openai-responses", "both"),
    ("openai-responses", "openai-responses"),
    ("openai-chat", "both"),
    ("openai-chat", "openai-chat"),
]


def _cases(corpus: str) -> list[dict[str, Any]]:
    return list(json.loads((HISTORIES / f"{corpus}.json").read_bytes()))


MODELS: Final = """
gpt-4o o1 o4-mini gpt-5 gpt-5-mini gpt-5-chat-latest gpt-5-pro gpt-5-2025-08-07 gpt-5.1 gpt-5.2
gpt-5.2-pro gpt-5.5 gpt-5.6 gpt-5.6-luna gpt-5.1-codex-max gpt-6 gpt-6-luna gpt-6.1-terra other
"""
"""One model for each rule, to test its levels of reasoning."""

LEVELS: Final = "none minimal low medium high xhigh max provider-default"


@pytest.mark.parametrize("provider", ["openai-responses", "openai-chat"])
def test_reasoning_is_asked_for_as_the_ai_sdk_does(provider: str, ai_sdk: AiSdk) -> None:
    """For each model and level: the nearest effort that the model has."""
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "x"}]}
    cases = [
        {
            "provider": provider,
            "model": model,
            "messages": [message],
            "settings": {"reasoning": level, "temperature": 0.5, "maxOutputTokens": 9},
        }
        for model in MODELS.split()
        for level in LEVELS.split()
    ]
    answers = ai_sdk.requests(cases)
    differences = [
        (case["model"], case["settings"], ours, theirs)
        for case, theirs in zip(cases, answers, strict=True)
        if (ours := our_request(provider, case)) != theirs
    ]
    assert differences == []


@pytest.mark.parametrize(("provider", "corpus"), CORPORA)
def test_request_is_what_the_ai_sdk_sends(provider: str, corpus: str, ai_sdk: AiSdk) -> None:
    """For each history, with its tools and settings, the bodies are equal field by field."""
    cases = _cases(corpus)
    answers = ai_sdk.requests(
        {
            **case,
            "provider": provider,
            "providerOptions": {"openai": {name: case[name] for name in OPTIONS if name in case}},
        }
        for case in cases
    )
    differences = {
        case["name"]: (ours, theirs)
        for case, theirs in zip(cases, map(without_orphans, answers), strict=True)
        if (ours := our_request(provider, case)) != theirs
    }
    assert differences == {}
