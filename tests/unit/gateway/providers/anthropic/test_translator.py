"""Anthropic's stream as chunks, where they are better for clients than the AI SDK's.

`tests/conformance` compares all others with the AI SDK itself.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.errors import (
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from midstream.protocol.chunks import (
    AnyChunk,
    ErrorChunk,
    ReasoningStartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolOutputAvailableChunk,
)
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.anthropic.tool_names import ToolNames, api_name, api_type
from midstream.providers.base import ToolSpec
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.part_ids import PartIds

SECRET = "what the provider says of itself"  # noqa: S105
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "m", "model": "x", "usage": {"input_tokens": 1, "output_tokens": 1}},
}


def block(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": fields}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


TEXT = [block(0, type="text", text=""), delta(0, type="text_delta", text="Hi"), stop(0)]


def translator(*tools: str, part_ids: PartIds | None = None, **fields: Any) -> AnthropicTranslator:
    return AnthropicTranslator(
        names=ToolNames([]),
        calls=ToolCalls(tools),
        new_id=iter(map(str, range(100, 999))).__next__,
        part_ids=part_ids or PartIds(),
        **fields,
    )


def feed(target: AnthropicTranslator, *events: dict[str, Any] | bytes) -> list[AnyChunk]:
    chunks: list[AnyChunk] = []
    for event in events:
        chunks += target.receive(event if isinstance(event, bytes) else json.dumps(event).encode())
    return chunks


@pytest.mark.parametrize(
    "event",
    [
        {"type": "from_the_future", "x": 1},
        block(3, type="from_the_future", x=1),
        delta(0, type="from_the_future", x=1),
        delta(0, type="citations_delta", citation={"type": "from_the_future"}),
        block(
            3, type="web_fetch_tool_result", tool_use_id="t", content={"type": "from_the_future"}
        ),
        delta(9, type="text_delta", text="of a block that never began"),
        stop(9),
        block(3, type="server_tool_use", id="t", name="from_the_future", input={}),
        block(3, type="mcp_tool_result", tool_use_id="unknown", is_error=False, content="x"),
    ],
)
def test_unknown_things_are_ignored(event: dict[str, Any]) -> None:
    """Clients go on reading when the API learns something new."""
    target = translator()
    chunks = feed(target, START, TEXT[0], event, *TEXT[1:])
    assert [type(chunk) for chunk in chunks[2:]] == [TextStartChunk, TextDeltaChunk, TextEndChunk]
    assert (target.result.warning, target.result.failure) == (None, None)


@pytest.mark.parametrize(
    "event",
    [
        b"{",
        b"\xff",
        b'{"type":1}',
        b"[" * 20_000,
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":1}}',
        b'{"type":"content_block_start","index":0}',
    ],
)
def test_unreadable_event_is_a_warning_and_the_step_goes_on(event: bytes) -> None:
    """No `error` chunk in the middle, since clients stop reading there."""
    target = translator()
    chunks = feed(target, START, TEXT[0], event, *TEXT[1:])
    assert isinstance(chunks[-1], TextEndChunk)
    assert target.result.warning is not None
    assert target.result.failure is None


@given(st.binary(max_size=200))
def test_translator_never_raises_for_what_a_provider_sends(event: bytes) -> None:
    """Any bytes at all are taken."""
    target = translator()
    target.receive(event)
    target.receive_eof()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ProviderRateLimitedError),
        ("rate_limit_error", ProviderRateLimitedError),
        ("api_error", ProviderUnavailableError),
        ("timeout_error", ProviderUnavailableError),
        ("invalid_request_error", ProviderRejectedError),
        ("authentication_error", ProviderRejectedError),
        ("from_the_future", ProviderUnavailableError),
    ],
)
def test_error_event_is_the_steps_failure(kind: str, error: type[Exception]) -> None:
    """It ends the step, by its type, and tells nothing of the provider."""
    target = translator()
    event = {"type": "error", "error": {"type": kind, "message": SECRET}}
    chunks = feed(target, START, *TEXT[:2], event, delta(0, type="text_delta", text="more"))
    chunks += target.receive_eof()
    failure = target.result.failure
    assert isinstance(failure, error)
    assert SECRET not in str(failure)
    assert target.result.finish_reason == "error"
    assert not any(isinstance(chunk, ErrorChunk | TextEndChunk) for chunk in chunks)
    assert [c.delta for c in chunks if isinstance(c, TextDeltaChunk)] == ["Hi"]


def test_response_that_says_nothing_is_a_failure() -> None:
    """An empty body is no empty answer."""
    target = translator()
    assert target.receive_eof() == []
    assert isinstance(target.result.failure, ProviderUnavailableError)


def test_parts_of_a_cut_response_stay_open() -> None:
    """The producer closes them, because it knows why."""
    target = translator("add")
    chunks = feed(target, START, *TEXT[:2], block(1, type="tool_use", id="t", name="add"))
    assert target.receive_eof() == []
    assert not any(isinstance(chunk, TextEndChunk) for chunk in chunks)
    assert target.result.finish_reason == "interrupted"
    assert target.result.tool_calls == ()


def test_first_chunk_begins_the_step_even_without_a_message_start() -> None:
    """A provider that leaves it out does not break the order."""
    assert isinstance(feed(translator(), *TEXT)[0], StartStepChunk)


def test_part_ids_are_the_runs() -> None:
    """A second step's block 0 is not the first one's."""
    part_ids = PartIds()
    first = feed(translator(part_ids=part_ids), START, *TEXT)
    second = feed(translator(part_ids=part_ids), START, *TEXT)
    ids = [[c.id for c in chunks if isinstance(c, TextDeltaChunk)] for chunks in (first, second)]
    assert ids == [["0"], ["100"]]


def test_reasoning_can_be_withheld() -> None:
    """Without it, its text counts as output all the same."""
    target = translator(send_reasoning=False)
    thinking = block(0, type="thinking", thinking="")
    thought = delta(0, type="thinking_delta", thinking="hm")
    signature = delta(0, type="signature_delta", signature="s")
    redacted = block(1, type="redacted_thinking", data="r")
    chunks = feed(target, START, thinking, thought, signature, stop(0), redacted, stop(1))
    target.receive_eof()
    assert not any(isinstance(chunk, ReasoningStartChunk) for chunk in chunks)
    assert len(chunks) == 2
    assert target.result.finish_reason == "interrupted"


def test_unusable_calls_are_not_for_execution() -> None:
    """Only calls of declared tools with an input are handed to the agent."""
    target = translator("add")
    for index, (name, text) in enumerate([("add", '{"a":'), ("gone", "{}"), ("add", "{}")]):
        tool = block(index, type="tool_use", id=f"t{index}", name=name)
        feed(target, tool, delta(index, type="input_json_delta", partial_json=text), stop(index))
    feed(target, {"type": "message_stop"})
    target.receive_eof()
    assert [call.id for call in target.result.tool_calls] == ["t2"]


def test_result_of_an_earlier_call_is_shown() -> None:
    """Code that called a tool answers in the next response."""
    content = {"type": "code_execution_result", "stdout": "", "stderr": "", "return_code": 0}
    result = block(0, type="code_execution_tool_result", tool_use_id="old", content=content)
    chunk = feed(translator(), START, result)[-1]
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert chunk.tool_call_id == "old"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("web_search_20250305", "web_search"),
        ("anthropic.web_search_20250305", "web_search"),
        ("anthropic.tool_search_bm25_20251119", "tool_search_tool_bm25"),
        ("tool_search_tool_regex_20251119", "tool_search_tool_regex"),
        ("text_editor_20250124", "str_replace_editor"),
        ("text_editor_20250728", "str_replace_based_edit_tool"),
        ("computer_toolset_20260801", "computer"),
        ("from_the_future_20300101", "from_the_future"),
    ],
)
def test_tool_type_gives_the_apis_name(kind: str, name: str) -> None:
    """The API's types and the AI SDK's ids of them both do."""
    assert api_name(kind) == name
    assert not api_type(kind).startswith("anthropic.")


def test_names_are_translated_both_ways() -> None:
    """A provider tool goes by its declared name at clients, by its own at the API."""
    names = ToolNames([ToolSpec(name="look", provider_type="web_search_20250305")])
    assert (names.to_api("look"), names.to_client("web_search")) == ("web_search", "look")
    assert (names.to_api("add"), names.to_client("add")) == ("add", "add")
