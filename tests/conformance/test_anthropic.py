"""Anthropic's streams and requests, against what the AI SDK makes of the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.conformance.anthropic_oracle import ask_sdk, comparable, events_of, translate
from tests.conformance.deviations import deviates

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts" / "anthropic"
CASES: Final[dict[str, dict[str, Any]]] = json.loads((TRANSCRIPTS / "cases.json").read_text())
NAMES: Final = sorted(file.stem for file in TRANSCRIPTS.glob("*.sse"))

CORPUS: Final = Path(__file__).parents[2].parent / "shared" / "aisdk"
FIXTURES: Final[dict[str, dict[str, Any]]] = (
    json.loads((CORPUS / "fixtures.json").read_text())["anthropic"] if CORPUS.exists() else {}
)
# What was refused or aborted is no stream to translate: `test_shared_failures` has it.
STREAMS: Final = [
    name for name, config in FIXTURES.items() if not {"status", "abortAfter"} & config.keys()
]


@pytest.fixture(scope="module")
def sdk_streams() -> dict[str, Any]:
    """What the AI SDK makes of each transcript."""
    cases = [
        {
            **CASES.get(name, {}),
            "events": [event.decode() for event in events_of(TRANSCRIPTS / f"{name}.sse")],
        }
        for name in NAMES
    ]
    return dict(zip(NAMES, ask_sdk("anthropic_stream.mjs", cases), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_translator_makes_the_chunks_that_the_ai_sdk_makes(
    name: str, sdk_streams: dict[str, Any]
) -> None:
    """Chunks, finish reasons and usage are the AI SDK's."""
    case, expected = CASES.get(name, {}), sdk_streams[name]
    chunks, result = translate(events_of(TRANSCRIPTS / f"{name}.sse"), case)
    assert comparable(chunks) == comparable(expected["chunks"])
    if case.get("fails"):
        assert result.failure is not None
        return
    assert result.failure is None
    if "error" in case.get("skips", ()):
        deviates("unknown-event-is-passed-over")
        assert result.warning is None
        return
    assert result.finish_reason == expected["finishReason"]
    assert result.raw_finish_reason == expected.get("rawFinishReason")
    if result.usage is not None:
        assert _pruned(json.loads(msgspec.json.encode(result.usage))) == _pruned(expected["usage"])


@pytest.mark.parametrize("name", STREAMS or ["absent"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "default"])
def test_translator_makes_the_recorded_chunks_of_the_shared_corpus(name: str, full: bool) -> None:
    """The same for recordings of the real API, where they are at hand."""
    if not FIXTURES:
        pytest.skip(f"the recordings are not beside the repository, at {CORPUS.name}/")
    config = FIXTURES[name]
    case = {**config, "responseSchema": 1} if "responseFormat" in config else config
    suffix = ".full.jsonl" if full else ".jsonl"
    golden = (CORPUS / "golden" / "anthropic" / f"{name}{suffix}").read_text().splitlines()
    expected = comparable(json.loads(line) for line in golden)
    chunks, result = translate(events_of(CORPUS / config["file"]), case, full=full)
    actual = comparable(chunks)
    if not full:  # error texts are hidden there
        for chunk in (*expected, *actual):
            chunk.pop("errorText", None)
    assert actual == expected[: len(actual)]
    if "steps" not in config:
        assert len(actual) == len(expected)
        reasons = [json.loads(line).get("finishReason") for line in golden]
        assert [reason for reason in reasons if reason] in ([result.finish_reason], [])


def _pruned(value: Any) -> Any:
    """Leave out what is unknown; numbers stay."""
    if isinstance(value, dict):
        return {key: _pruned(each) for key, each in value.items() if each not in (None, {})}
    return [_pruned(each) for each in value] if isinstance(value, list) else value
