"""OpenAI's translators alone: broken events, failures, the tool seam."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.errors import ProviderRateLimitedError, ProviderRejectedError
from midstream.protocol.chunks import (
    AnyChunk,
    ErrorChunk,
    TextDeltaChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
)
from midstream.protocol.codec import encode
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.translator import OpenAIChatTranslator
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.part_ids import PartIds

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSCRIPTS = Path(__file__).parents[4] / "conformance" / "transcripts"
CREATED = {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}}
MESSAGE = {
    "type": "response.output_item.added",
    "output_index": 0,
    "item": {"type": "message", "id": "t"},
}
TEXT = {"type": "response.output_text.delta", "item_id": "t", "output_index": 0, "delta": "Hi"}
CHAT_HEAD = {"id": "c", "model": "m", "object": "chat.completion.chunk"}
CHAT_TEXT = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}

Translator = OpenAIChatTranslator | OpenAIResponsesTranslator


def ids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"made-up-{next(numbers)}"


def responses(**settings: Any) -> OpenAIResponsesTranslator:
    return OpenAIResponsesTranslator(ToolCalls(()), new_id=ids(), **settings)


def chat(**settings: Any) -> OpenAIChatTranslator:
    return OpenAIChatTranslator(ToolCalls(()), new_id=ids(), **settings)


def feed(translator: Translator, *events: object) -> list[AnyChunk]:
    chunks: list[AnyChunk] = []
    for event in events:
        chunks += translator.receive(
            event if isinstance(event, bytes) else json.dumps(event).encode()
        )
    return chunks


def texts(chunks: list[AnyChunk]) -> str:
    return "".join(chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk))


@pytest.mark.parametrize(
    "broken",
    [b"{", b"[]", b"\xff", b'{"type":"response.output_text.delta","delta":1}'],
)
def test_responses_translator_warns_of_what_it_cannot_read_and_goes_on(broken: bytes) -> None:
    """No error chunk; the text goes on; the step is marked."""
    translator = responses()
    chunks = feed(translator, CREATED, MESSAGE, TEXT, broken, TEXT)
    assert texts(chunks) == "HiHi"
    assert not any(isinstance(chunk, ErrorChunk) for chunk in chunks)
    assert translator.result.warning is not None
    assert translator.result.failure is None


@pytest.mark.parametrize("broken", [b"{", b"\xff", b'{"choices":[3]}'])
def test_chat_translator_warns_of_what_it_cannot_read_and_goes_on(broken: bytes) -> None:
    """No error chunk; the text goes on; the step is marked."""
    translator = chat()
    chunks = feed(translator, CHAT_TEXT, broken, CHAT_TEXT)
    assert texts(chunks) == "HiHi"
    assert translator.result.warning is not None


def test_unknown_event_with_fields_of_another_shape_is_ignored() -> None:
    """An event that we do not know may use our names for anything."""
    translator = responses()
    assert feed(translator, {"type": "response.new", "delta": {"a": 1}, "item": 3}) == []
    assert translator.result.warning is None


def test_responses_translator_tells_a_chat_completions_stream() -> None:
    """An address that speaks the other API is a mistake in the settings, not bad luck."""
    translator = responses()
    feed(translator, CHAT_TEXT)
    assert isinstance(translator.result.failure, ProviderRejectedError)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "sequence_number": 1, "code": "server_error", "message": "sk-x"},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "sk-x"}},
        {"type": "error", "code": {"odd": 1}},
        {
            "type": "response.failed",
            "response": {"error": {"code": "server_error", "message": "sk-x"}},
        },
    ],
)
def test_responses_translator_fails_on_an_error_event(event: dict[str, Any]) -> None:
    """The failure is set, says nothing of the provider's, and no chunk is made of it."""
    translator = responses()
    chunks = feed(translator, CREATED, MESSAGE, TEXT, event)
    assert texts(chunks) == "Hi"
    assert translator.result.failure is not None
    assert "sk-x" not in translator.result.failure.message
    assert translator.result.finish_reason == "error"


def test_chat_translator_shows_nothing_before_an_error() -> None:
    """An error before the first output leaves no step behind."""
    translator = chat()
    role = {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    assert feed(translator, role, {"error": {"message": "sk-x", "code": 429}}) == []
    assert isinstance(translator.result.failure, ProviderRateLimitedError)


def test_delta_of_a_text_that_is_not_open_is_dropped() -> None:
    """A client that gets text for no part gives up on the whole message."""
    assert texts(feed(responses(), CREATED, TEXT)) == ""


def test_part_ids_are_not_used_twice_in_a_run() -> None:
    """The second step's text `0` gets an id of its own."""
    part_ids = PartIds()
    starts = [
        chunk.id
        for _ in range(2)
        for chunk in feed(chat(part_ids=part_ids), CHAT_TEXT)
        if isinstance(chunk, TextStartChunk)
    ]
    assert starts == ["0", "made-up-1"]


def test_reasoning_is_left_out_on_request() -> None:
    """With `send_reasoning` off, nothing of it is emitted."""
    item = {"type": "reasoning", "id": "rs"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    assert len(feed(responses(send_reasoning=False), CREATED, added, done)) == 1


def test_tool_input_that_a_check_rejects_becomes_an_error() -> None:
    """The check's complaint is what the model reads; the call is not pending."""
    calls = ToolCalls(["weather"], lambda name, value: f"{name} wants a city")
    rejected = calls.complete("c", "weather", '{"town": 1}')
    assert isinstance(rejected, ToolInputErrorChunk)
    assert rejected.error_text == "Invalid input for tool weather: weather wants a city"
    assert calls.pending == []


def test_usable_call_of_the_client_is_pending() -> None:
    """Calls that the provider executes are not; input is compact."""
    calls = ToolCalls(["weather"])
    mine = calls.complete("c1", "weather", '{\n "city": "Bern"\n}')
    calls.complete("c2", "weather", "{}", provider_executed=True)
    assert isinstance(mine, ToolInputAvailableChunk)
    assert [(call.id, bytes(call.input)) for call in calls.pending] == [("c1", b'{"city":"Bern"}')]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("response.created"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
EVENTS = {
    provider: [
        event
        for file in sorted((TRANSCRIPTS / provider).glob("*.json"))
        for case in json.loads(file.read_bytes())
        for event in case["events"]
        if isinstance(event, dict)
    ]
    for provider in ("openai-responses", "openai-chat")
}


def mutated(event: Any, path: list[int], value: Any) -> Any:
    """Return an event with one value in it replaced: the one that `path` leads to."""
    if not path or not isinstance(event, dict | list) or not event:
        return value
    if isinstance(event, list):
        index = path[0] % len(event)
        return [*event[:index], mutated(event[index], path[1:], value), *event[index + 1 :]]
    name = sorted(event)[path[0] % len(event)]
    return {**event, name: mutated(event[name], path[1:], value)}


@pytest.mark.parametrize("provider", ["openai-responses", "openai-chat"])
@given(data=st.data())
def test_translator_never_raises_and_always_emits_json(provider: str, data: st.DataObject) -> None:
    """For events in any order, with any value in any place."""
    translator = chat() if provider == "openai-chat" else responses(send_sources=True)
    sent = data.draw(st.lists(st.sampled_from(EVENTS[provider]), max_size=12))
    chunks: list[AnyChunk] = []
    for event in sent:
        path = data.draw(st.lists(st.integers(0, 9), max_size=5))
        value = data.draw(ANY_JSON)
        broken = mutated(event, path, value) if path else event
        chunks += feed(translator, broken)
    chunks += translator.receive_eof()
    for chunk in chunks:
        json.loads(encode(chunk))


def wrapped(*uses: tuple[str, object]) -> dict[str, Any]:
    """Return a Chat Completions delta that calls the wrapper."""
    listed = [{"recipient_name": name, "parameters": given} for name, given in uses]
    function = {"name": "multi_tool_use.parallel", "arguments": json.dumps({"tool_uses": listed})}
    call = {"index": 0, "id": "call", "function": function}
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}


def test_wrapper_in_chat_completions_is_opened() -> None:
    """Each call is one of its own, announced and complete."""
    translator = OpenAIChatTranslator(ToolCalls(("add",)), new_id=ids())
    assert len(feed(translator, wrapped(("functions.add", {}), ("functions.add", {"a": 1})))) == 1
    translator.receive_eof()
    calls = translator.result.tool_calls
    assert [(call.id, call.name, bytes(call.input)) for call in calls] == [
        ("call_0", "add", b"{}"),
        ("call_1", "add", b'{"a":1}'),
    ]


@pytest.mark.parametrize(
    "use", [("functions.gone", {}), ("add", {}), ("functions.add", "x"), ("functions.add", None)]
)
def test_wrapper_that_cannot_be_opened_is_a_call_of_an_undeclared_tool(
    use: tuple[str, object],
) -> None:
    """The model reads that there is no such tool."""
    translator = OpenAIChatTranslator(ToolCalls(("add",)), new_id=ids())
    feed(translator, wrapped(use))
    chunks = translator.receive_eof()
    (error,) = (chunk for chunk in chunks if isinstance(chunk, ToolInputErrorChunk))
    assert error.tool_name == "multi_tool_use.parallel"
    assert "unavailable tool" in error.error_text
    assert list(translator.result.tool_calls) == []


@pytest.mark.parametrize("kind", [OpenAIChatTranslator, OpenAICompatibleTranslator])
def test_answer_that_begins_with_its_head_alone_is_one(kind: type[OpenAIChatTranslator]) -> None:
    """An event without choices names the answer, and begins none."""
    translator = kind(ToolCalls(()), new_id=ids())
    chunks = feed(translator, CHAT_HEAD, CHAT_TEXT, CHAT_TEXT) + translator.receive_eof()
    assert [chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk)] == ["Hi", "Hi"]
    assert translator.result.failure is None
    empty = kind(ToolCalls(()), new_id=ids())
    assert feed(empty, CHAT_HEAD) + empty.receive_eof() == []
    assert empty.result.failure is not None
