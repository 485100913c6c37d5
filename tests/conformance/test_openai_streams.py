"""Our chunks for a provider stream equal the AI SDK's, over transcripts of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.conformance.oracle import as_bytes, comparable, translate

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

TRANSCRIPTS = Path(__file__).parent / "transcripts"
FEATURES = sorted(
    f"{provider}/{file.stem}"
    for provider in ("openai-responses", "openai-chat")
    for file in (TRANSCRIPTS / provider).glob("*.json")
)


def _cases(feature: str) -> list[dict[str, Any]]:
    return list(json.loads((TRANSCRIPTS / f"{feature}.json").read_bytes()))


@pytest.mark.parametrize("feature", FEATURES)
def test_translator_emits_what_the_ai_sdk_does(feature: str, ai_sdk: AiSdk) -> None:
    """For each transcript the chunks, finish reason and usage equal those of ai 7."""
    provider = feature.partition("/")[0]
    cases = _cases(feature)
    answers = ai_sdk.streams(
        {
            "provider": provider,
            "model": "gpt-5-mini",
            "events": [event.decode() for event in as_bytes(case["events"])],
            "tools": case["tools"],
            "providerOptions": case["providerOptions"],
        }
        for case in cases
    )
    for case, answer in zip(cases, answers, strict=True):
        events = as_bytes(case["events"])
        chunks, result = translate(provider, events, case)
        assert comparable(chunks, events) == comparable(answer["chunks"], events), case["name"]
        assert result.finish_reason == answer["finishReason"], case["name"]
        assert result.raw_finish_reason == answer.get("rawFinishReason"), case["name"]
        ours = json.loads(msgspec.json.encode(result.usage)) if result.usage else {}
        theirs = {name: value for name, value in answer["usage"].items() if value != {}}
        assert ours == theirs, case["name"]
