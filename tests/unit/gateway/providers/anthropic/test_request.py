"""Requests to Anthropic that differ from the AI SDK's, because the API refuses those.

`tests/conformance` compares all others with the AI SDK itself.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from midstream.protocol.messages import UIMessage
from midstream.providers.anthropic.prompt.models import model_traits
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.base import StepRequest, ToolSpec

Json = dict[str, Any]

STEP: Json = {"type": "step-start"}


def message(role: str, *parts: Json) -> UIMessage:
    return UIMessage.parse(json.dumps({"id": role, "role": role, "parts": parts}).encode())


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def thought(**options: Any) -> Json:
    return {"type": "reasoning", "text": "hm", "providerMetadata": {"anthropic": options}}


def file(url: str, media_type: str, **fields: Any) -> Json:
    return {"type": "file", "url": url, "mediaType": media_type, "filename": "f", **fields}


def hosted(name: str, **fields: Any) -> Json:
    return {
        "type": f"tool-{name}",
        "toolCallId": "s",
        "state": "output-available",
        "providerExecuted": True,
        "input": {},
        **fields,
    }


def request(*messages: UIMessage, **fields: Any) -> StepRequest:
    values = {"model": "claude-sonnet-4-5", "messages": messages, "new_id": str, **fields}
    return StepRequest(**values)


def sent(*messages: UIMessage, **fields: Any) -> list[Json]:
    body = json.loads(json.dumps(build_request(request(*messages, **fields)).body))
    return list(body["messages"])


def spoken(messages: list[Json]) -> list[tuple[str, list[str]]]:
    """Return each message's role and the types of its blocks."""
    return [(each["role"], [block["type"] for block in each["content"]]) for each in messages]


@pytest.mark.parametrize(
    "part",
    [
        thought(signature="s"),
        thought(redactedData="r"),
        thought(),
        text(""),
        hosted("web_search", state="input-available"),
        hosted("web_search", output="not what a search answers"),
        hosted("web_search", output=[{"url": "x"}]),
        hosted("web_fetch", output={"content": None}),
        hosted("code_execution", output={"type": "from_the_future"}),
        hosted("code_execution", output=[1]),
        hosted("advisor", output={"type": "advisor_result"}),
        hosted("somebody_elses", state="output-error", errorText="x"),
        {
            **hosted("echo", output="x"),
            "callProviderMetadata": {"anthropic": {"type": "mcp-tool-use"}},
        },
        {"type": "tool-add", "toolCallId": "t", "state": "input-streaming"},
        {"type": "tool-add", "toolCallId": "t", "state": "input-available", "input": {}},
    ],
)
def test_what_a_run_left_unfinished_does_not_spoil_the_next_request(part: Json) -> None:
    """Nothing that the API would refuse is sent; the person's messages are."""
    messages = sent(
        message("user", text("a")), message("assistant", STEP, part), message("user", text("b"))
    )
    assert {each["role"] for each in messages} == {"user"}
    assert [block["text"] for each in messages for block in each["content"]] == ["a", "b"]


def test_thought_before_an_answer_is_kept() -> None:
    """Only a thought with nothing after it is left out."""
    messages = sent(
        message("user", text("a")),
        message("assistant", STEP, thought(signature="s"), text("b"), thought(signature="t")),
        message("user", text("c")),
    )
    assert spoken(messages)[1] == ("assistant", ["thinking", "text"])


def test_answer_of_blanks_is_not_continued() -> None:
    """A last answer that is trimmed to nothing is no message."""
    messages = sent(message("user", text("a")), message("assistant", STEP, text(" \n")))
    assert spoken(messages) == [("user", ["text"])]


@pytest.mark.parametrize(
    "part",
    [
        file("data:application/zip;base64,AAAA", "application/zip"),
        file("https://example.org/a.txt", "text/plain"),
        file("https://example.org/a.docx", "application/msword"),
        file("data:image/*;base64,AAAA", "image/*"),
        file("data:text/plain;base64,A", "text/plain"),
        file("blob:elsewhere", "image/png"),
        file("", "image/png", providerReference={"openai": "file_1"}),
    ],
)
def test_file_that_the_model_cannot_read_is_named_to_it(part: Json) -> None:
    """An error would come back with every further message of the conversation."""
    (only,) = sent(message("user", part))
    assert [block["type"] for block in only["content"]] == ["text"]
    assert "cannot read it" in only["content"][0]["text"]


def test_metadata_that_is_not_ours_is_not_looked_at() -> None:
    """A client may put anything there."""
    part = {**text("a"), "providerMetadata": {"anthropic": {"signature": 1}, "openai": {}}}
    assert sent(message("user", part))[0]["content"] == [{"type": "text", "text": "a"}]


def test_provider_options_are_merged_over_the_body() -> None:
    """They have the last word, and their betas go to the header."""
    options = {"max_tokens": 7, "service_tier": "auto", "anthropic_beta": ["b", "a"]}
    prepared = build_request(request(message("user", text("a")), provider_options=options))
    assert prepared.body["max_tokens"] == 7
    assert prepared.body["service_tier"] == "auto"
    assert "anthropic_beta" not in prepared.body
    assert prepared.betas == ["a", "b"]


def test_cited_files_are_counted_for_the_answer() -> None:
    """The answer points at them by their place in the request."""
    cited = {"providerMetadata": {"anthropic": {"citations": {"enabled": True}}}}
    part = file("data:text/plain;base64,QQ==", "text/plain") | cited
    (document,) = build_request(request(message("user", part))).documents
    assert (document.title, document.filename, document.media_type) == ("f", "f", "text/plain")


def test_toolset_is_sent_without_a_name() -> None:
    """Its members have the names."""
    tool = ToolSpec(name="screen", provider_type="computer_toolset_20260801")
    body = build_request(request(message("user", text("a")), tools=[tool])).body
    assert body["tools"] == [{"type": "computer_toolset_20260801"}]


@pytest.mark.parametrize("choice", ["none", "add", "required", None])
def test_json_tool_is_demanded_whatever_else_may_be_called(choice: str | None) -> None:
    """A model without structured output answers by the tool, unless another is named with it."""
    tools = [ToolSpec(name="add"), ToolSpec(name="sub")]
    prepared = build_request(
        request(
            message("user", text("a")),
            model="claude-3-haiku-20240307",
            tools=tools,
            tool_choice=choice,
            parameters={"response_format": {"type": "json", "schema": {"type": "object"}}},
        )
    )
    names = [tool["name"] for tool in json.loads(json.dumps(prepared.body["tools"]))]
    others = {"none": [], "add": ["add"]}.get(choice or "", ["add", "sub"])
    assert names == [*others, "json"]
    assert prepared.json_tool


def test_newer_models_are_told_apart_before_their_families() -> None:
    """`claude-opus-5-5` is not `claude-opus-5`, and a snapshot is as its model."""
    assert not model_traits("claude-opus-5-5").forces_tools
    assert model_traits("claude-opus-5").forces_tools
    assert model_traits("claude-haiku-4-5-20251001").max_output_tokens == 64_000
    assert not model_traits("llama").known
