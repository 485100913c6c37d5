"""`openai-chat` and servers that are not OpenAI's: which is which, and where thinking goes."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from midstream.errors import ProviderRejectedError
from midstream.protocol.chunks import (
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    TextDeltaChunk,
    ToolInputAvailableChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.base import StepRequest
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.openai.hosts import is_openai
from midstream.providers.openai_chat.compatible.dialect import (
    known_thinking_field,
    wants_thinking_always,
)
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_chat.proxied import CHAT
from midstream.providers.part_ids import PartIds
from midstream.providers.passthrough.api import read_call
from midstream.providers.passthrough.reader import EventsReader, WholeReader
from midstream.providers.sdk_client import ClientOptions
from tests.unit.gateway.providers.openai.upstream import Exchange, provider_at, upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.openai_chat.compatible.dialect import ThinkingField

Json = dict[str, Any]

OTHERS: Final = "https://inference.example/v1"


@pytest.mark.parametrize(
    ("base_url", "openais"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://acme.openai.azure.com/openai/v1", True),
        ("https://api.openai.com.example/v1", False),
        ("https://openrouter.ai/api/v1", False),
        ("http://127.0.0.1:8080/v1", False),
        ("http://[", False),
    ],
)
def test_address_says_whose_server_it_is(base_url: str | None, openais: bool) -> None:
    assert is_openai(base_url) is openais


def test_environment_says_where_the_sdk_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the SDK reads it."""
    monkeypatch.setenv("OPENAI_BASE_URL", OTHERS)
    assert not is_openai(None)
    assert is_openai("https://api.openai.com/v1")


def test_some_addresses_say_where_their_thinking_is() -> None:
    """Groq, Cerebras and Mistral refuse requests that have it elsewhere."""
    assert known_thinking_field("https://api.groq.com/openai/v1") == "reasoning"
    assert known_thinking_field("https://api.cerebras.ai/v1") == "reasoning"
    assert known_thinking_field("https://api.mistral.ai/v1") == "content"
    assert known_thinking_field("http://127.0.0.1:11434/v1") is None
    assert known_thinking_field(None) is None
    assert wants_thinking_always("https://api.deepseek.com/v1")
    assert not wants_thinking_always(OTHERS)


def event(finish: str | None = None, **delta: object) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "model": "acme-1", "choices": [choice]}


def request(*answers: Json) -> StepRequest:
    """A person's message after some answers."""
    messages = [said("user", {"type": "text", "text": "Hi"}), *answers]
    messages += [said("user", {"type": "text", "text": "Again"})] if answers else []
    return StepRequest(
        model="gpt-5",
        messages=[UIMessage.parse(json.dumps(message).encode()) for message in messages],
        new_id=lambda: "made-up",
    )


def said(role: str, *parts: Json) -> Json:
    return {"id": role, "role": role, "parts": parts}


ANSWER: Final = said(
    "assistant",
    {"type": "step-start"},
    {"type": "reasoning", "text": "Greet.", "state": "done"},
    {"type": "text", "text": "Hello.", "state": "done"},
)
ELSEWHERE: Final = said(
    "assistant", {"type": "step-start"}, {"type": "text", "text": "Hello.", "state": "done"}
)


class Server:
    """Answers each request with the next of its streams, and keeps the bodies.

    With `strict`, a status, it refuses requests that have a model's thinking.
    """

    def __init__(self, *streams: Sequence[Json], strict: int = 0) -> None:
        self.bodies: list[Json] = []
        self._streams = iter(streams)
        self._strict = strict

    async def answer(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.body)
        if self._strict and "Greet." in json.dumps(exchange.body):
            await exchange.refuse(self._strict, b'{"error":{"message":"no"}}')
            return
        await exchange.begin()
        for each in next(self._streams):
            await exchange.send(each)
        await exchange.end()

    async def ask(self, *requests: StepRequest, **settings: Any) -> list[AnyChunk]:
        """Make steps, one after another; return the chunks of all."""
        chunks: list[AnyChunk] = []
        async with upstream(self.answer) as base_url:
            provider = provider_at(OpenAIChatProvider, base_url, **settings)
            try:
                for each in requests:
                    async with provider.open_step(each) as step:
                        chunks += [chunk async for some in step for chunk in some]
            finally:
                await provider.close()
        return chunks


def thoughts(chunks: Sequence[AnyChunk]) -> str:
    return "".join(chunk.delta for chunk in chunks if isinstance(chunk, ReasoningDeltaChunk))


def texts(chunks: Sequence[AnyChunk]) -> str:
    return "".join(chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk))


THINKING: Final[dict[ThinkingField, Json]] = {
    "reasoning_content": {"reasoning_content": "Hm."},
    "reasoning": {"reasoning": "Hm."},
    "content": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
}
"""Form of a server's thinking."""

GOES_BACK: Final[dict[ThinkingField, Json]] = {
    "reasoning_content": {"content": "Hello.", "reasoning_content": "Greet."},
    "reasoning": {"content": "Hello.", "reasoning": "Greet."},
    "content": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Greet."}]},
            {"type": "text", "text": "Hello."},
        ]
    },
    "none": {"content": "Hello."},
}


@pytest.mark.anyio
@pytest.mark.parametrize("field", THINKING)
async def test_thinking_is_shown_and_goes_back_to_where_it_was(field: ThinkingField) -> None:
    """The provider has seen where this server has it."""
    stream = [event(role="assistant", **THINKING[field]), event("stop", content="Hello.")]
    server = Server(stream, stream)
    chunks = await server.ask(request(), request(ANSWER))
    assert thoughts(chunks) == "Hm.Hm."
    assert texts(chunks) == "Hello.Hello."
    assert server.bodies[1]["messages"][1] == {"role": "assistant", **GOES_BACK[field]}


@pytest.mark.anyio
@pytest.mark.parametrize("field", GOES_BACK)
async def test_setting_says_where_thinking_goes(field: ThinkingField) -> None:
    """The setting wins over the server's own form."""
    stream = [event(reasoning="Hm."), event("stop", content="Hello.")]
    server = Server(stream, stream)
    await server.ask(request(), request(ANSWER), thinking_field=field)
    assert server.bodies[1]["messages"][1] == {"role": "assistant", **GOES_BACK[field]}


@pytest.mark.anyio
async def test_setting_says_that_a_server_is_openais() -> None:
    """A proxy in front of OpenAI: its names for its own models, and no thinking."""
    stream = [event(reasoning_content="Hm.", content="Hello."), event("stop")]
    server = Server(stream)
    chunks = await server.ask(request(ANSWER), compatible=False)
    assert thoughts(chunks) == ""
    assert server.bodies[0]["messages"][1] == {"role": "assistant", "content": "Hello."}


@pytest.mark.anyio
async def test_thinking_that_is_refused_is_left_out() -> None:
    """A conversation must not end with the first model that does not know the field."""
    stream = [event("stop", content="Hello.")]
    server = Server(stream, stream, strict=400)
    chunks = await server.ask(request(ANSWER), request(ANSWER))
    assert texts(chunks) == "Hello.Hello."
    sent = [body["messages"][1] for body in server.bodies]
    with_thinking, without = GOES_BACK["reasoning_content"], GOES_BACK["none"]
    # Each request tries anew: another one may be refused for a call without its thought.
    assert sent == [{"role": "assistant", **each} for each in (with_thinking, without) * 2]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "status", "settings"),
    [
        (request(ANSWER), 401, {}),
        (request(ANSWER), 400, {"thinking_field": "reasoning_content"}),
    ],
)
async def test_other_refusals_are_final(
    asked: StepRequest, status: int, settings: dict[str, Any]
) -> None:
    """Of a key; and where the settings say what to send."""
    server = Server(strict=status)
    with pytest.raises(ProviderRejectedError):
        await server.ask(asked, **settings)
    assert len(server.bodies) == 1


def test_server_that_always_wants_thinking_gets_an_empty_one() -> None:
    """DeepSeek refuses messages of another model's, which has not thought, without the field."""
    from midstream.providers.openai_chat.compatible.dialect import Dialect
    from midstream.providers.openai_chat.compatible.prompt import compatible_request

    body = json.loads(compatible_request(request(ELSEWHERE), Dialect(always_thinking=True)))
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "Hello.",
        "reasoning_content": "",
    }


def feed(*events: Json, **settings: Any) -> tuple[OpenAICompatibleTranslator, list[AnyChunk]]:
    numbers = itertools.count()
    translator = OpenAICompatibleTranslator(
        ToolCalls(["weather"]), new_id=lambda: f"id-{next(numbers)}", **settings
    )
    chunks = [chunk for each in events for chunk in translator.receive(json.dumps(each).encode())]
    return translator, chunks + translator.receive_eof()


def test_thinking_that_is_not_wanted_makes_no_part() -> None:
    """Nor do its details."""
    detail = {"type": "reasoning.text", "text": "Hm.", "index": 0}
    _, chunks = feed(
        event(reasoning="Hm.", reasoning_details=[detail]),
        event("stop", content="Hello."),
        send_reasoning=False,
    )
    assert [chunk for chunk in chunks if "Reasoning" in type(chunk).__name__] == []
    assert texts(chunks) == "Hello."


def test_call_whose_name_is_cut_is_no_warning() -> None:
    """It may have been about to come: the answer is interrupted."""
    nameless = {"index": 0, "id": "c1", "function": {"arguments": "{}"}}
    translator, _ = feed(event(content="Hi", tool_calls=[nameless]))
    assert translator.result.warning is None
    assert translator.result.finish_reason == "interrupted"


def test_call_without_a_name_is_a_warning_at_the_end() -> None:
    """The other calls are complete and shown."""
    named = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{}"}}
    nameless = {"index": 1, "id": "c2", "function": {"arguments": "{}"}}
    translator, chunks = feed(event(tool_calls=[named, nameless]), event("tool_calls"))
    assert translator.result.warning is not None
    assert [c.tool_call_id for c in chunks if isinstance(c, ToolInputAvailableChunk)] == ["c1"]


@pytest.mark.parametrize("extra", [3, {"google": 3}, {"google": {"thought_signature": 3}}, {}])
def test_extra_content_of_another_shape_costs_no_call(extra: object) -> None:
    call = {"index": 0, "id": "c1", "extra_content": extra, "function": {"name": "weather"}}
    translator, _ = feed(event(tool_calls=[call]), event("tool_calls"))
    assert [call.id for call in translator.result.tool_calls] == ["c1"]
    assert translator.result.warning is None


@pytest.mark.parametrize("part", [3, "x", {}, {"type": "text", "text": 3}, {"type": "thinking"}])
def test_part_of_another_shape_is_passed_over(part: object) -> None:
    """And a thought with such a part in it keeps the rest."""
    thought = {"type": "thinking", "thinking": [part, {"type": "text", "text": "Hm."}]}
    translator, chunks = feed(event(content=[part, thought]), event("stop", content="Hello."))
    assert (thoughts(chunks), texts(chunks)) == ("Hm.", "Hello.")
    assert translator.result.warning is None


@pytest.mark.parametrize("odd", [3, True, {}, [], [{"type": ["text"]}], "x"])
@pytest.mark.parametrize(
    "field", ["reasoning", "reasoning_content", "reasoning_details", "annotations"]
)
def test_thinking_of_another_shape_costs_no_text(field: str, odd: object) -> None:
    """Nor does it make a warning of the answer."""
    delta: Json = {"content": "Hel", field: odd}
    translator, chunks = feed(event(**delta), event("stop", content="lo."))
    assert texts(chunks) == "Hello."
    assert (translator.result.warning, translator.result.finish_reason) == (None, "stop")


@pytest.mark.parametrize("field", THINKING)
def test_thought_that_is_cut_within_a_character_is_whole(field: ThinkingField) -> None:
    """Wherever the server has it; half a character in vain is U+FFFD."""
    stream = [
        json.loads(json.dumps(event(**THINKING[field])).replace("Hm.", said))
        for said in (r"a\ud83d", r"\ude00b\ud83d")
    ]
    translator, chunks = feed(*stream, event("stop", content="Hello."))
    assert (thoughts(chunks), texts(chunks)) == ("a\U0001f600b\ufffd", "Hello.")
    assert translator.result.warning is None


def test_details_are_kept_whole_where_their_text_is_cut() -> None:
    """A signature is of the text as the model wrote it."""
    stream = [
        event(reasoning=text, reasoning_details=[{"type": "reasoning.text", "text": text}])
        for text in ("a\ud83d", "\ude00")
    ]
    _, chunks = feed(*stream, event("stop", content="Hello."))
    (end,) = [chunk for chunk in chunks if isinstance(chunk, ReasoningEndChunk)]
    kept = json.loads(bytes(end.provider_metadata))["openai-chat"]["reasoning_details"]  # type: ignore[arg-type]
    assert (thoughts(chunks), [each["text"] for each in kept]) == ("a\U0001f600", ["a\U0001f600"])


@pytest.mark.parametrize("detail", [3, {}, {"type": 3}, {"type": "reasoning.text", "text": 3}])
def test_detail_of_another_shape_costs_no_text(detail: object) -> None:
    translator, chunks = feed(event("stop", content="Hello.", reasoning_details=[detail]))
    assert texts(chunks) == "Hello."
    assert translator.result.warning is None


# -- through the proxy


def proxied(*, stream: bool, compatible: str | None = "acme") -> Any:
    """Return what reads an answer to a proxied call along."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream, "model": "m"}
    call = read_call(CHAT, json.dumps(body).encode())
    numbers = itertools.count()

    def new_id() -> str:
        return f"id-{next(numbers)}"

    translator = CHAT.translator(call, new_id, PartIds(), compatible)
    return EventsReader(CHAT, translator, new_id) if stream else WholeReader(CHAT, translator)


@pytest.mark.parametrize("field", THINKING)
def test_proxied_thinking_is_shown(field: ThinkingField) -> None:
    """As a configured agent's."""
    reader = proxied(stream=True)
    stream = [event(role="assistant", **THINKING[field]), event("stop", content="Hello.")]
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in stream)
    passed, chunks = reader.receive_data(data)
    assert passed == data
    chunks += reader.receive_eof()[1]
    assert (thoughts(chunks), texts(chunks)) == ("Hm.", "Hello.")


@pytest.mark.parametrize("field", THINKING)
def test_proxied_thinking_of_a_whole_answer_is_shown(field: ThinkingField) -> None:
    message = {"role": "assistant", "content": "Hello.", **THINKING[field]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reader = proxied(stream=False)
    reader.receive_data(json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode())
    _, chunks = reader.receive_eof()
    assert thoughts(chunks) == "Hm."
    assert texts(chunks) == ("" if field == "content" else "Hello.")


def test_proxied_answer_of_openais_own_is_read_as_theirs() -> None:
    reader = proxied(stream=True, compatible=None)
    _, chunks = reader.receive_data(
        b"data: " + json.dumps(event(reasoning="Hm.", content="Hi")).encode() + b"\n\n"
    )
    assert (thoughts(chunks), texts(chunks)) == ("", "Hi")


# -- Messages


CUT: Final = said(
    "assistant",
    {"type": "step-start"},
    {"type": "reasoning", "text": "Gre", "state": "done", "providerMetadata": {}},
    {"type": "text", "text": "Hello.", "state": "done"},
)


@pytest.mark.parametrize(
    ("base_url", "model", "compatible", "sent"),
    [
        (None, "claude-sonnet-5-5", None, False),
        ("https://api.deepseek.com/anthropic", "deepseek-chat", None, True),
        ("https://proxy.example", "anthropic/claude-sonnet-5-5", None, False),
        ("https://proxy.example", "acme-1", False, False),
        ("https://proxy.example", "claude-acme", True, True),
    ],
)
@pytest.mark.anyio
async def test_unsigned_thought_goes_to_servers_that_sign_none(
    base_url: str | None, model: str, compatible: bool | None, sent: bool
) -> None:
    """Claude refuses it, wherever it is served."""
    provider = AnthropicProvider(
        ClientOptions(api_key="k", base_url=base_url), compatible=compatible
    )
    step = msgspec.structs.replace(request(ANSWER), model=model)
    body = provider.prepare(step).body
    assert (b"Greet." in msgspec.json.encode(body["messages"])) is sent
    await provider.close()


@pytest.mark.anyio
async def test_unsigned_thought_that_is_refused_is_left_out() -> None:
    """It was Claude, by another name."""
    stream = [{"type": "message_start", "message": {"id": "m", "model": "m", "content": []}}]
    server = Server(stream, strict=400)
    async with upstream(server.answer) as base_url:
        provider = provider_at(AnthropicProvider, base_url)
        async with provider.open_step(request(ANSWER)) as step:
            _ = [chunks async for chunks in step]
        await provider.close()
    thoughtful, plain = [body["messages"][1]["content"] for body in server.bodies]
    assert [block["type"] for block in thoughtful] == ["thinking", "text"]
    assert [block["type"] for block in plain] == ["text"]


def test_thought_that_was_cut_is_not_sent() -> None:
    """The thought is not complete."""
    body = build_request(request(CUT), unsigned_thinking=True).body
    assert "Gre" not in json.dumps(body["messages"])
