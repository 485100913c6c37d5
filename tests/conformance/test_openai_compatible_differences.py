"""Thinking and answers of compatible servers that we treat differently from the AI SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.openai_chat.compatible.prompt import compatible_request
from midstream.providers.openai_responses.prompt.request import responses_request
from tests.conformance.deviations import deviates
from tests.conformance.oracle import ACME, as_bytes, comparable, step_request, translate

if TYPE_CHECKING:
    from midstream.providers.openai_chat.compatible.dialect import ThinkingField
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

PROVIDER: Final = "openai-compatible"
HEAD: Final[Json] = {"id": "gen-1", "created": 1770000303, "model": "acme-1"}
STOP: Final[Json] = {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def delta(**fields: object) -> Json:
    """Return an event."""
    return {**HEAD, "choices": [{"index": 0, "delta": fields}]}


def detail(kind: str, **fields: object) -> Json:
    """Return one of OpenRouter's details."""
    return {"type": f"reasoning.{kind}", "format": "anthropic-claude-v1", "index": 0, **fields}


def both(ai_sdk: AiSdk, *events: Json) -> tuple[list[Json], list[Json]]:
    """Return our chunks, and the AI SDK's."""
    (theirs,) = ai_sdk.streams([{"provider": PROVIDER, "events": _texts(events)}])
    ours, _ = translate(PROVIDER, as_bytes(events), {})
    return comparable(ours), comparable(theirs["chunks"])


def _texts(events: tuple[Json, ...]) -> list[str]:
    return [event.decode() for event in as_bytes(events)]


def without_metadata(chunks: list[Json]) -> list[Json]:
    """Return chunks without the metadata of `reasoning_details`."""
    return [{k: v for k, v in chunk.items() if k != "providerMetadata"} for chunk in chunks]


def kept_details(chunks: list[Json]) -> list[list[Json]]:
    """Return the details in chunks."""
    metadata = [chunk["providerMetadata"] for chunk in chunks if "providerMetadata" in chunk]
    return [each["acme"]["reasoning_details"] for each in metadata]


@deviates("reasoning-details")
def test_details_beside_plain_thinking_are_kept_with_it(ai_sdk: AiSdk) -> None:
    """Thinking is shown once; the pieces of one detail are joined, with its signature."""
    ours, theirs = both(
        ai_sdk,
        delta(content="", reasoning="Be ", reasoning_details=[detail("text", text="Be ")]),
        delta(content="", reasoning="kind.", reasoning_details=[detail("text", text="kind.")]),
        delta(content="", reasoning_details=[detail("text", text="", signature="c2ln")]),
        delta(content="Hello."),
        STOP,
    )
    assert without_metadata(ours) == theirs
    assert kept_details(ours) == [[detail("text", text="Be kind.", signature="c2ln")]]


@deviates("reasoning-details")
@pytest.mark.parametrize(("kind", "field"), [("text", "text"), ("summary", "summary")])
def test_details_alone_are_shown(kind: str, field: str, ai_sdk: AiSdk) -> None:
    """The AI SDK shows nothing of such a thought."""
    ours, theirs = both(
        ai_sdk,
        delta(reasoning_details=[detail(kind, **{field: "Only "})]),
        delta(reasoning_details=[detail(kind, **{field: "here."})]),
        delta(content="Hello."),
        STOP,
    )
    thoughts = [chunk for chunk in ours if chunk["type"].startswith("reasoning")]
    assert [chunk.get("delta") for chunk in thoughts] == [None, "Only here.", None]
    assert [chunk for chunk in ours if chunk not in thoughts] == theirs


@deviates("reasoning-details")
def test_encrypted_details_have_a_part_of_their_own(ai_sdk: AiSdk) -> None:
    """They arrive after the text, and have no readable content."""
    secret = {"type": "reasoning.encrypted", "data": "gAAAA", "id": "rs_1", "index": 0}
    ours, theirs = both(ai_sdk, delta(content="Hello."), delta(reasoning_details=[secret]), STOP)
    assert kept_details(ours) == [[secret]]
    assert [c for c in ours if not c["type"].startswith("reasoning")] == theirs


@deviates("compatible-sources")
def test_cited_pages_are_sources(ai_sdk: AiSdk) -> None:
    """The AI SDK's package ignores them."""
    page = {"type": "url_citation", "url_citation": {"url": "https://a.example/", "title": "A"}}
    ours, theirs = both(ai_sdk, delta(content="As A says.", annotations=[page]), STOP)
    sources = [chunk for chunk in ours if chunk["type"] == "source-url"]
    assert [(source["url"], source["title"]) for source in sources] == [("https://a.example/", "A")]
    assert [chunk for chunk in ours if chunk not in sources] == theirs


@deviates("cut-is-no-failure")
def test_stream_without_a_finish_reason_is_interrupted(ai_sdk: AiSdk) -> None:
    """The AI SDK's `error` would end the client's reading of the answer."""
    events = [delta(content="Half a")]
    (theirs,) = ai_sdk.streams([{"provider": PROVIDER, "events": _texts(tuple(events))}])
    ours, result = translate(PROVIDER, as_bytes(events), {})
    assert comparable(ours) == [c for c in comparable(theirs["chunks"]) if c["type"] != "error"]
    assert (result.finish_reason, theirs["finishReason"]) == ("interrupted", "error")


HISTORY: Final[list[Json]] = [
    {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
    {
        "id": "a",
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Greet.", "state": "done"},
            {"type": "text", "text": "Hello.", "state": "done"},
        ],
    },
    {"id": "v", "role": "user", "parts": [{"type": "text", "text": "Again"}]},
]


@deviates("thinking-goes-back-where-it-was")
@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("reasoning", {"content": "Hello.", "reasoning": "Greet."}),
        ("none", {"content": "Hello."}),
        (
            "content",
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Greet."}]},
                    {"type": "text", "text": "Hello."},
                ]
            },
        ),
    ],
)
def test_thinking_goes_back_to_where_the_server_has_it(
    field: ThinkingField, sent: Json, ai_sdk: AiSdk
) -> None:
    """The AI SDK's package knows one field, which some servers refuse."""
    case = {"provider": PROVIDER, "messages": HISTORY}
    (theirs,) = ai_sdk.requests([case])
    dialect = msgspec.structs.replace(ACME, thinking=field)
    body = msgspec.json.decode(compatible_request(step_request(PROVIDER, case), dialect))
    assert body["messages"][1] == {"role": "assistant", **sent}
    plain = {"role": "assistant", "content": "Hello.", "reasoning_content": "Greet."}
    assert theirs["body"]["messages"][1] == plain


@deviates("reasoning-details")
def test_details_go_back_as_they_were(ai_sdk: AiSdk) -> None:
    """The details of all thoughts of a step are sent, beside the thinking."""
    details = [detail("text", text="Greet.", signature="c2ln")]
    step, thought, text = HISTORY[1]["parts"]
    thought = {**thought, "providerMetadata": {"acme": {"reasoning_details": details}}}
    answer = {**HISTORY[1], "parts": [step, thought, text]}
    case = {"provider": PROVIDER, "messages": [HISTORY[0], answer, HISTORY[2]]}
    (theirs,) = ai_sdk.requests([case])
    body = msgspec.json.decode(compatible_request(step_request(PROVIDER, case), ACME))
    assert body["messages"][1].pop("reasoning_details") == details
    assert body == theirs["body"]


@deviates("reasoning-text")
@pytest.mark.parametrize("store", [True, False])
def test_thinking_that_is_no_summary_is_shown(store: bool, ai_sdk: AiSdk) -> None:
    """The AI SDK shows an empty part."""
    item: Json = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": None}
    events: list[Json] = [
        {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *(
            {
                "type": "response.reasoning_text.delta",
                "item_id": "rs_1",
                "output_index": 0,
                "content_index": 0,
                "delta": text,
            }
            for text in ("Hm", ".")
        ),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {
            "type": "response.completed",
            "response": {"id": "r", "usage": {"input_tokens": 1, "output_tokens": 1}},
        },
    ]
    case = {
        "provider": "openai-responses",
        "providerOptions": {"openai": {"store": store}},
        "events": _texts(tuple(events)),
    }
    (theirs,) = ai_sdk.streams([case])
    ours, _ = translate("openai-responses", as_bytes(events), case)
    deltas = [chunk for chunk in ours if chunk["type"] == "reasoning-delta"]
    assert [chunk["delta"] for chunk in deltas] == ["Hm", "."]
    assert comparable([c for c in ours if c not in deltas]) == comparable(theirs["chunks"])


STORED: Final[Json] = {"providerMetadata": {"openai": {"itemId": "msg_1"}}}


@deviates("plain-items")
def test_server_that_keeps_nothing_is_sent_everything(ai_sdk: AiSdk) -> None:
    """The AI SDK refers to items as if they were stored."""
    step, _, text = HISTORY[1]["parts"]
    answer = {**HISTORY[1], "parts": [step, {**text, **STORED}]}
    case = {"provider": "openai-responses", "messages": [HISTORY[0], answer, HISTORY[2]]}
    (theirs,) = ai_sdk.requests([case])
    plain = json.loads(responses_request(step_request("openai-responses", case), plain=True))
    content = [{"type": "output_text", "text": "Hello."}]
    assert plain["input"][1] == {"type": "message", "role": "assistant", "content": content}
    assert theirs["body"]["input"][1] == {"type": "item_reference", "id": "msg_1"}


@deviates("unsigned-thinking")
def test_thought_without_a_signature_goes_to_a_server_that_signs_none(ai_sdk: AiSdk) -> None:
    """The AI SDK leaves it out, as Anthropic's own API requires."""
    case = {"provider": "anthropic", "messages": HISTORY}
    (theirs,) = ai_sdk.requests([case])
    sent = build_request(step_request("anthropic", case), unsigned_thinking=True).body["messages"]
    thought = {"type": "thinking", "thinking": "Greet.", "signature": ""}
    words = {"type": "text", "text": "Hello."}
    assert json.loads(json.dumps(sent))[1]["content"] == [thought, words]
    assert theirs["body"]["messages"][1]["content"] == [words]
