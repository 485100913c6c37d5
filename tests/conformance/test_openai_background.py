"""Background responses that another process resumes: after every event, as without a cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from midstream.protocol.codec import encode
from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.openai_responses.background import FollowedResponse, ResponsePoint
from midstream.providers.openai_responses.prompt.tools import tooling
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from tests.conformance.oracle import as_bytes, ids, tool_specs

TRANSCRIPTS = Path(__file__).parent / "transcripts" / "openai-responses"
CASES = {
    f"{file.stem}/{case['name']}": case
    for file in sorted(TRANSCRIPTS.glob("*.json"))
    for case in json.loads(file.read_bytes())
}


def begin(case: dict[str, Any]) -> FollowedResponse:
    """Follow a case's response; two followers make the same ids."""
    tools = tool_specs(case["tools"])
    return FollowedResponse(
        OpenAIResponsesTranslator(
            declared_calls(tools),
            new_id=ids(),
            tooling=tooling(tools),
            stored=case["providerOptions"].get("openai", {}).get("store") is True,
            send_sources=True,
        )
    )


def whole(followed: FollowedResponse, events: list[bytes]) -> list[list[bytes]]:
    """Return the chunks of each event, and those of the end."""
    lists = [[encode(chunk) for chunk in followed.receive(event)] for event in events]
    return [*lists, [encode(chunk) for chunk in followed.finish()]]


def said(followed: FollowedResponse) -> bytes:
    """Return a response's result in a form that can be compared."""
    result = msgspec.structs.asdict(followed.result)
    return msgspec.json.encode({**result, "failure": str(result["failure"])})


@pytest.mark.parametrize("name", CASES)
def test_response_goes_on_after_any_event_as_if_it_had_not_been_cut(name: str) -> None:
    """The state stored after an event is enough for the rest: chunks and result are equal.

    Guards `TRACELESS`: an event that changes later chunks must leave a trace in the state.
    """
    case = CASES[name]
    events = as_bytes(case["events"])
    uncut = begin(case)
    expected = whole(uncut, events)
    for cut in range(1, len(events)):
        first = begin(case)
        for event in events[:cut]:
            first.receive(event)
        point = first.point()
        assert point is not None
        second = begin(case)
        second.restore(msgspec.json.decode(msgspec.json.encode(point), type=ResponsePoint))

        assert whole(second, events[cut:]) == expected[cut:], f"after event {cut - 1}"
        assert said(second) == said(uncut)


def test_events_that_come_again_are_known() -> None:
    """A connection that begins too early repeats no chunk."""
    case = CASES["text/deltas"]
    events = as_bytes(case["events"])
    followed = begin(case)
    once = [chunk for event in events for chunk in followed.receive(event)]

    assert once
    assert [chunk for event in events for chunk in followed.receive(event)] == []
