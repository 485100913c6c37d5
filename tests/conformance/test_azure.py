"""Azure's Responses: metadata is `azure`'s both ways, as the AI SDK has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.protocol.codec import encode
from midstream.providers.azure.provider import as_azure, as_openai
from midstream.providers.openai_responses.prompt.request import responses_request
from tests.conformance.oracle import (
    OPTIONS,
    PROVIDERS,
    as_bytes,
    comparable,
    step_request,
    tool_specs,
)

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts"
STREAMS: Final = ("text", "reasoning-stored", "function-calls", "annotations", "parallel-wrapper")


def _cases(path: str) -> list[Json]:
    return list(json.loads((TRANSCRIPTS / path).read_bytes()))


@pytest.mark.parametrize("named", ["azure", "openai"])
def test_history_is_sent_to_azure_as_the_ai_sdk_does(named: str, ai_sdk: AiSdk) -> None:
    """Items stored by Azure are sent as references; those stored by OpenAI are not."""
    cases = [
        json.loads(json.dumps(case).replace('"openai":', f'"{named}":'))
        for case in _cases("openai-requests/openai-responses.json")
        if not case.get("tools")
    ]
    answers = ai_sdk.requests(
        {
            **case,
            "provider": "azure",
            "providerOptions": {"azure": {name: case[name] for name in OPTIONS if name in case}},
        }
        for case in cases
    )
    differences = {}
    for case, theirs in zip(cases, answers, strict=True):
        request = step_request("openai-responses", case)
        changed = type(request)(
            **{name: getattr(request, name) for name in request.__struct_fields__}
            | {"messages": as_openai(request.messages)}
        )
        ours = json.loads(responses_request(changed))
        if ours != theirs.get("body"):
            differences[case["name"]] = (ours, theirs)
    assert differences == {}
    assert cases


@pytest.mark.parametrize("name", STREAMS)
def test_answer_of_azure_is_the_ai_sdks(name: str, ai_sdk: AiSdk) -> None:
    """The chunks are equal."""
    cases = _cases(f"openai-responses/{name}.json")
    answers = ai_sdk.streams(
        {
            **case,
            "provider": "azure",
            "events": [event.decode() for event in as_bytes(case["events"])],
        }
        for case in cases
    )
    for case, theirs in zip(cases, answers, strict=True):
        events = as_bytes(case["events"])
        translator = PROVIDERS["openai-responses"].translator(
            tool_specs(case.get("tools", ())), case, True
        )
        chunks = [
            json.loads(encode(as_azure(chunk)))
            for event in events
            for chunk in translator.receive(event)
        ]
        chunks += [json.loads(encode(as_azure(chunk))) for chunk in translator.receive_eof()]
        assert comparable(chunks, events) == comparable(theirs["chunks"], events), case.get("name")
