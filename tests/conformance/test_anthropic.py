"""Compares our translation of Anthropic's streams with the AI SDK's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.conformance.deviations import deviates
from tests.conformance.oracle import SHARED_CORPUS, comparable, events_of, translate

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts" / "anthropic"
CASES: Final[dict[str, dict[str, Any]]] = json.loads((TRANSCRIPTS / "cases.json").read_text())
NAMES: Final = sorted(file.stem for file in TRANSCRIPTS.glob("*.sse"))

FIXTURES: Final[dict[str, dict[str, Any]]] = (
    json.loads((SHARED_CORPUS / "fixtures.json").read_text())["anthropic"]
    if SHARED_CORPUS.exists()
    else {}
)
# Refused and aborted recordings have no stream to translate; see `test_shared_failures`.
STREAMS: Final = [
    name for name, config in FIXTURES.items() if not {"status", "abortAfter"} & config.keys()
]


@pytest.fixture(scope="module")
def sdk_streams(ai_sdk: AiSdk) -> dict[str, Any]:
    """The AI SDK's chunks of each transcript."""
    cases = [
        {
            **CASES.get(name, {}),
            "provider": "anthropic",
            "events": [event.decode() for event in events_of(TRANSCRIPTS / f"{name}.sse")],
        }
        for name in NAMES
    ]
    return dict(zip(NAMES, ai_sdk.streams(cases), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_translator_makes_the_chunks_that_the_ai_sdk_makes(
    name: str, sdk_streams: dict[str, Any]
) -> None:
    """Chunks, finish reasons and usage are the AI SDK's."""
    case, expected = CASES.get(name, {}), sdk_streams[name]
    events = events_of(TRANSCRIPTS / f"{name}.sse")
    chunks, result = translate("anthropic", events, case)
    theirs = expected["chunks"]
    if case.get("fails") or "error" in case.get("skips", ()):
        theirs = [chunk for chunk in theirs if chunk["type"] != "error"]
    assert comparable(chunks, events) == comparable(theirs, events)
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
    """The same holds for recordings of the real API, if they are at hand."""
    if not FIXTURES:
        pytest.skip(f"the recordings are not beside the repository, at {SHARED_CORPUS.name}/")
    config = FIXTURES[name]
    case = {**config, "responseSchema": 1} if "responseFormat" in config else config
    suffix = ".full.jsonl" if full else ".jsonl"
    file = SHARED_CORPUS / "golden" / "anthropic" / f"{name}{suffix}"
    golden = [json.loads(line) for line in file.read_text().splitlines()]
    events = events_of(SHARED_CORPUS / config["file"])
    chunks, result = translate("anthropic", events, case, full=full)
    expected, actual = (
        comparable((chunk for chunk in some if chunk.get("type") != "error"), events)
        for some in (golden, chunks)
    )
    if not full:  # error texts are hidden there
        for chunk in (*expected, *actual):
            chunk.pop("errorText", None)
    assert actual == expected[: len(actual)]
    if "steps" not in config:
        assert len(actual) == len(expected)
        reasons = [chunk.get("finishReason") for chunk in golden]
        assert [reason for reason in reasons if reason] in ([result.finish_reason], [])


def _pruned(value: Any) -> Any:
    """Remove unknown values; numbers stay."""
    if isinstance(value, dict):
        return {key: _pruned(each) for key, each in value.items() if each not in (None, {})}
    return [_pruned(each) for each in value] if isinstance(value, list) else value
