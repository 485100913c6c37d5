"""Our chunks for recorded provider streams, if the shared corpus is beside the project."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.deviations import deviates
from tests.conformance.oracle import SHARED_CORPUS, comparable, events_of, translate

pytestmark = pytest.mark.skipif(
    not SHARED_CORPUS.is_dir(), reason="the shared AI SDK corpus is not beside the repository"
)


def _recordings() -> list[tuple[str, str]]:
    index = SHARED_CORPUS / "fixtures.json"
    if not index.exists():
        return []
    fixtures = json.loads(index.read_bytes())
    return [
        (provider, name)
        for provider in ("openai-responses", "openai-chat")
        for name, settings in fixtures[provider].items()
        # An HTTP error has no stream.
        if "status" not in settings
    ]


def _settings(provider: str, name: str) -> dict[str, Any]:
    fixtures = json.loads((SHARED_CORPUS / "fixtures.json").read_bytes())
    return dict(fixtures[provider][name])


@pytest.mark.parametrize(("provider", "name"), _recordings())
def test_translator_emits_what_the_ai_sdk_did(provider: str, name: str) -> None:
    """The chunks that were recorded, up to an error or an abort, which end ours."""
    settings = _settings(provider, name)
    events = events_of(SHARED_CORPUS / settings["file"])[: settings.get("resetAfter")]
    ours, result = translate(provider, events, settings)
    golden = SHARED_CORPUS / "golden" / provider
    lines = (golden / f"{name}.full.jsonl").read_text().splitlines()
    expected = comparable(map(json.loads, lines), events)
    actual = comparable(ours, events)
    if result.warning is not None:
        deviates("unreadable-event-is-said-last")
        expected = [chunk for chunk in expected if chunk["type"] != "error"]
        assert _text(actual) == _text(expected)
        return
    elif result.failure is not None:
        # The step's own start is held back by the provider, not by its translator.
        deviates("step-start-held")
        expected = [chunk for chunk in expected if chunk["type"] not in {"error", "start-step"}]
        actual = [chunk for chunk in actual if chunk["type"] != "start-step"]
    elif "abortAfter" in settings:
        expected, actual = expected[:2], actual[:2]
    elif "steps" in settings:
        # A tool's result, and the steps after it, are the agent's.
        expected = expected[: len(actual)]
    assert actual == expected


def _text(chunks: list[dict[str, Any]]) -> str:
    """Return the text of the chunks, joined, because an error had split it."""
    return "".join(chunk.get("delta", "") for chunk in chunks)
