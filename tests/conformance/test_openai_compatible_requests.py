"""Our requests to a compatible server equal those of the AI SDK's package for such servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.deviations import deviates
from tests.conformance.oracle import our_request

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

HISTORIES: Final = Path(__file__).parent / "transcripts" / "openai-requests"
PROVIDER: Final = "openai-compatible"
RAW_INPUT: Final = "tool-raw-input"
UNSENT: Final = {
    "image-url": deviates("file-address-sent"),
    "image-url-without-path": deviates("file-address-sent"),
    "file-reference": deviates("file-note"),
}
"""Histories of `both.json` for which the AI SDK sends nothing."""


def _cases(corpus: str) -> list[dict[str, Any]]:
    cases = json.loads((HISTORIES / f"{corpus}.json").read_bytes())
    # Names of OpenAI's models mean nothing here.
    own = corpus == PROVIDER
    return [
        {**{k: v for k, v in case.items() if own or k != "model"}, "provider": PROVIDER}
        for case in cases
    ]


@pytest.mark.parametrize("corpus", ["both", "openai-chat", PROVIDER])
def test_request_is_what_the_ai_sdk_sends(corpus: str, ai_sdk: AiSdk) -> None:
    """For each history, with its tools and settings, the bodies are equal field by field."""
    cases = _cases(corpus)
    differences = {
        case["name"]: (ours, theirs)
        for case, theirs in zip(cases, ai_sdk.requests(cases), strict=True)
        if (ours := our_request(PROVIDER, case)) != theirs
        and not (case["name"] in UNSENT and "@error" in theirs)
    }
    differences.pop(RAW_INPUT, None)
    assert differences == {}


@deviates("inputs-are-objects")
def test_input_that_did_not_parse_is_sent_as_an_empty_object(ai_sdk: AiSdk) -> None:
    """Servers that parse the arguments of earlier calls refuse any other value."""
    (case,) = [case for case in _cases("both") if case["name"] == RAW_INPUT]
    (theirs,) = ai_sdk.requests([case])
    ours = our_request(PROVIDER, case)["body"]
    function = ours["messages"][1]["tool_calls"][0]["function"]
    assert function["arguments"] == "{}"
    function["arguments"] = json.dumps('{"city":')
    assert ours == theirs["body"]


@deviates("file-address-sent")
def test_address_of_a_file_is_sent_as_it_is(ai_sdk: AiSdk) -> None:
    """The AI SDK downloads it first; a gateway never fetches an address from a request."""
    (case,) = [case for case in _cases("both") if case["name"] == "image-url"]
    (theirs,) = ai_sdk.requests([case])
    assert "Failed to download" in theirs["@error"]
    _, image = our_request(PROVIDER, case)["body"]["messages"][0]["content"]
    assert image["image_url"] == {"url": "https://a.example/i.jpg"}
