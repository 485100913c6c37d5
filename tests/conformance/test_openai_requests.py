"""Our requests to OpenAI for a history are those of the AI SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.openai_oracle import OPTIONS, ask_ai_sdk, our_request

HISTORIES = Path(__file__).parent / "transcripts" / "openai-requests"

CORPORA = [
    ("openai-responses", "both"),
    ("openai-responses", "openai-responses"),
    ("openai-chat", "both"),
    ("openai-chat", "openai-chat"),
]


def _cases(corpus: str) -> list[dict[str, Any]]:
    return list(json.loads((HISTORIES / f"{corpus}.json").read_bytes()))


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
        if (ours := our_request(provider, case)) != theirs
    }
    assert differences == {}
