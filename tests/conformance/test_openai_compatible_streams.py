"""Our chunks for a compatible server's stream equal those of the AI SDK's package for such servers.

The corpus has each server's own form, and under `kinds` forms that several servers have.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.conformance.deviations import deviates
from tests.conformance.oracle import as_bytes, comparable, translate

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

CORPUS: Final = Path(__file__).parent / "transcripts" / "openai-compatible"
SERVERS: Final = sorted(file.stem for file in CORPUS.glob("*.json"))


@pytest.mark.parametrize("server", SERVERS)
def test_translator_emits_what_the_ai_sdk_does(server: str, ai_sdk: AiSdk) -> None:
    """For each stream the chunks, finish reason and usage are equal."""
    cases: list[dict[str, Any]] = json.loads((CORPUS / f"{server}.json").read_bytes())
    answers = ai_sdk.streams(
        {
            "provider": "openai-compatible",
            "events": [event.decode() for event in as_bytes(case["events"])],
            "tools": case["tools"],
        }
        for case in cases
    )
    for case, answer in zip(cases, answers, strict=True):
        events = as_bytes(case["events"])
        chunks, result = translate("openai-compatible", events, case)
        expected = answer["chunks"]
        if result.failure is not None:
            # The agent writes it, and closes open parts.
            deviates("error-ends-the-run")
            expected = list(itertools.takewhile(lambda chunk: chunk["type"] != "error", expected))
        assert comparable(chunks, events) == comparable(expected, events), case["name"]
        assert result.finish_reason == answer["finishReason"], case["name"]
        assert result.raw_finish_reason == answer.get("rawFinishReason"), case["name"]
        ours = json.loads(msgspec.json.encode(result.usage)) if result.usage else {}
        theirs = {name: value for name, value in answer["usage"].items() if value != {}}
        assert ours == theirs, case["name"]
