"""Responses servers that give their items no index, no id, or keep nothing."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.errors import ProviderRejectedError
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import FinishStepChunk, ReasoningDeltaChunk, StartStepChunk
from midstream.protocol.codec import encode
from midstream.protocol.messages import UIMessage
from midstream.protocol.writer import ChunkWriter
from midstream.providers.base import StepRequest
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.openai_responses.prompt.request import responses_request
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.openai_responses.proxied import RESPONSES
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.part_ids import PartIds
from midstream.providers.passthrough.api import read_call
from midstream.providers.passthrough.reader import EventsReader, WholeReader
from tests.unit.gateway.providers.openai.upstream import Exchange, provider_at, upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

Json = dict[str, Any]

THOUGHT: Final[Json] = {"id": "rs_1", "type": "reasoning", "summary": [], "content": []}
WORDS: Final[Json] = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
CALL: Final[Json] = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "weather"}
OTHER: Final[Json] = {"id": "fc_2", "type": "function_call", "call_id": "c2", "name": "weather"}
CREATED: Final[Json] = {"type": "response.created", "response": {"object": "response"}}
COMPLETED: Final[Json] = {"type": "response.completed", "response": {"status": "completed"}}


def added(item: Json) -> Json:
    return {"type": "response.output_item.added", "item": item}


def done(item: Json, **fields: object) -> Json:
    return {"type": "response.output_item.done", "item": {**item, **fields}}


def delta(kind: str, item: Json, text: str) -> Json:
    return {"type": f"response.{kind}.delta", "item_id": item["id"], "delta": text}


AS_LLAMA_CPP: Final = (
    CREATED,
    added(THOUGHT),
    delta("reasoning_text", THOUGHT, "Ask "),
    delta("reasoning_text", THOUGHT, "twice."),
    added(WORDS),
    delta("output_text", WORDS, "One "),
    delta("output_text", WORDS, "moment."),
    added(CALL),
    delta("function_call_arguments", CALL, '{"city":'),
    delta("function_call_arguments", CALL, '"Rome"}'),
    added(OTHER),
    delta("function_call_arguments", OTHER, '{"city":"Bonn"}'),
    done(THOUGHT, encrypted_content=""),
    done(WORDS),
    done(CALL, arguments='{"city":"Rome"}'),
    done(OTHER, arguments='{"city":"Bonn"}'),
    COMPLETED,
)
"""Everything ends at the end, in order."""


def without(event: Json, *names: str) -> Json:
    """Return an event without ids, its item's too."""
    item = {name: value for name, value in event.get("item", {}).items() if name not in names}
    kept = {name: value for name, value in event.items() if name not in ("item_id", "item")}
    return {**kept, "item": item} if "item" in event else kept


def feed(events: Sequence[Json]) -> tuple[OpenAIResponsesTranslator, list[AnyChunk]]:
    numbers = itertools.count()
    translator = OpenAIResponsesTranslator(
        ToolCalls(["weather"]), new_id=lambda: f"id-{next(numbers)}"
    )
    chunks = [chunk for each in events for chunk in translator.receive(json.dumps(each).encode())]
    return translator, chunks + translator.receive_eof()


def message_of(chunks: Sequence[AnyChunk]) -> list[Json]:
    """Return a client's message of the chunks, which must be legal; without ids and metadata."""
    writer, assembler = ChunkWriter("m"), Assembler("m")
    written = [*ChunkWriter("m").finish()[:1]]
    writer.write(written[0])
    for chunk in [*chunks, FinishStepChunk()]:
        written += writer.admit(chunk)
    assembler.apply_all([*written, *writer.finish("stop")])
    parts: list[Json] = json.loads(bytes(UIMessage.parse(assembler.message()).raw))["parts"]
    ids = ("toolCallId", "providerMetadata", "callProviderMetadata", "id")
    return [{k: v for k, v in part.items() if k not in ids} for part in parts]


@pytest.mark.parametrize("missing", [(), ("id",), ("id", "call_id")])
def test_items_without_an_index_are_told_apart(missing: tuple[str, ...]) -> None:
    """By their ids; without those, by their kind and order."""
    events = [without(e, *missing) if missing else e for e in AS_LLAMA_CPP]
    translator, chunks = feed(events)
    assert message_of(chunks) == [
        {"type": "step-start"},
        {"type": "reasoning", "text": "Ask twice.", "state": "done"},
        {"type": "text", "text": "One moment.", "state": "done"},
        {"type": "tool-weather", "state": "input-available", "input": {"city": "Rome"}},
        {"type": "tool-weather", "state": "input-available", "input": {"city": "Bonn"}},
    ]
    assert [bytes(call.input) for call in translator.result.tool_calls] == [
        b'{"city":"Rome"}',
        b'{"city":"Bonn"}',
    ]
    assert len({call.id for call in translator.result.tool_calls}) == 2
    assert translator.result.warning is None
    assert translator.result.finish_reason == "tool-calls"
    assert not translator.stores


def numbered() -> list[Json]:
    """Return the same stream as OpenAI sends it: each event says whose it is."""
    places = {item["id"]: index for index, item in enumerate((THOUGHT, WORDS, CALL, OTHER))}
    events: list[Json] = []
    for each in AS_LLAMA_CPP:
        item_id = each.get("item_id", each.get("item", {}).get("id"))
        events.append(each if item_id is None else {**each, "output_index": places[item_id]})
    return events


@pytest.mark.parametrize("at", range(1, len(AS_LLAMA_CPP) - 1))
@pytest.mark.parametrize("odd", [None, "x", 1.5])
def test_event_without_its_index_belongs_to_its_item(at: int, odd: object) -> None:
    """One of a stream whose other events have one."""
    events = numbered()
    told, whole = feed(events)
    events[at] = {**events[at], "output_index": odd}
    translator, chunks = feed(events)
    assert message_of(chunks) == message_of(whole)
    assert translator.result.tool_calls == told.result.tool_calls
    assert translator.result.warning is None
    assert told.stores


def test_ids_of_ours_are_never_shown() -> None:
    """A later request could refer to them."""
    _, chunks = feed([without(event, "id") for event in AS_LLAMA_CPP])
    shown = b"".join(encode(chunk) for chunk in chunks)
    assert b'"itemId"' not in shown


def test_thinking_ends_where_words_begin() -> None:
    """Though the server says so at its end only."""
    _, chunks = feed(AS_LLAMA_CPP)
    kinds = [type(chunk).__name__ for chunk in chunks]
    assert kinds.index("ReasoningEndChunk") < kinds.index("TextStartChunk")
    assert kinds.count("ReasoningEndChunk") == 1


def test_event_of_no_item_is_passed_over() -> None:
    """And costs the others nothing."""
    stray = [delta("output_text", {"id": "msg_9"}, "lost"), done(CALL, arguments="{}")]
    translator, chunks = feed([CREATED, *stray, added(WORDS), delta("output_text", WORDS, "Hi")])
    assert message_of(chunks)[-1]["text"] == "Hi"
    assert [call.id for call in translator.result.tool_calls] == ["c1"]


@pytest.mark.parametrize(
    ("response", "stores"),
    [
        ({"id": "r", "model": "m"}, True),
        ({"id": "r", "model": "m", "store": True}, True),
        ({"id": "r", "model": "m", "store": False}, False),
    ],
)
def test_server_that_says_so_keeps_nothing(response: Json, stores: bool) -> None:
    translator, _ = feed([{"type": "response.created", "response": response}])
    assert translator.stores is stores


# -- what is sent


def said(role: str, *parts: Json) -> Json:
    return {"id": role, "role": role, "parts": parts}


def own(item_id: str, **more: object) -> Json:
    return {"state": "done", "providerMetadata": {"openai": {"itemId": item_id, **more}}}


ASKED: Final = said("user", {"type": "text", "text": "Hi"})
AGAIN: Final = said("user", {"type": "text", "text": "Again"})
ANSWER: Final = said(
    "assistant",
    {"type": "step-start"},
    {"type": "reasoning", "text": "Ask ", **own("rs_1")},
    {"type": "reasoning", "text": "twice.", **own("rs_1")},
    {"type": "text", "text": "One moment.", **own("msg_1")},
    {
        "type": "tool-weather",
        "toolCallId": "c1",
        "state": "output-available",
        "input": {"city": "Rome"},
        "output": "sunny",
        "callProviderMetadata": {"openai": {"itemId": "fc_1"}},
    },
    {"type": "step-start"},
    {"type": "text", "text": "Sunny.", **own("msg_2")},
)


def request(*messages: Json) -> StepRequest:
    return StepRequest(
        model="acme-1",
        messages=[UIMessage.parse(json.dumps(message).encode()) for message in messages],
        system="Be kind.",
        new_id=lambda: "made-up",
    )


def message(role: str, kind: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


PLAIN: Final = [
    {"type": "message", "role": "system", "content": "Be kind."},
    message("user", "input_text", "Hi"),
    {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Ask twice."}],
    },
    message("assistant", "output_text", "One moment."),
    {
        "type": "function_call",
        "call_id": "c1",
        "name": "weather",
        "arguments": '{"city":"Rome"}',
    },
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    message("assistant", "output_text", "Sunny."),
    message("user", "input_text", "Again"),
]


def plain_input(*messages: Json) -> Any:
    return json.loads(responses_request(request(*messages), plain=True))["input"]


def test_plain_items_are_whole_and_say_what_they_are() -> None:
    """Nothing is referred to."""
    assert plain_input(ASKED, ANSWER, AGAIN) == PLAIN


def test_encrypted_thought_goes_back_as_it_was() -> None:
    """Of a server that keeps nothing, but can read what it wrote."""
    thought = {"type": "reasoning", "text": "", **own("rs_1", reasoningEncryptedContent="gA")}
    words = {"type": "text", "text": "Hi", **own("msg_1")}
    _, _, sent, *_ = plain_input(ASKED, said("assistant", {"type": "step-start"}, thought, words))
    assert sent == {"type": "reasoning", "summary": [], "encrypted_content": "gA"}


def test_thought_that_led_to_nothing_is_left_out() -> None:
    """It was stopped there."""
    thought = {"type": "reasoning", "text": "Hm", "state": "done", "providerMetadata": {}}
    answer = said("assistant", {"type": "step-start"}, thought)
    assert [item["role"] for item in plain_input(ASKED, answer, AGAIN)] == [
        "system",
        "user",
        "user",
    ]


class Server:
    """Refuses what is not plain, if it is `strict`; answers with one of its streams."""

    def __init__(self, *streams: Sequence[Json], strict: int = 0) -> None:
        self.inputs: list[list[Json]] = []
        self._streams = iter(streams)
        self._strict = strict

    async def answer(self, exchange: Exchange) -> None:
        items = exchange.body["input"]
        self.inputs.append(items)
        if self._strict and any("type" not in item for item in items if "role" in item):
            await exchange.refuse(self._strict, b'{"error":{"message":"no"}}')
            return
        await exchange.begin()
        for each in next(self._streams):
            await exchange.send(each)
        await exchange.end()

    async def ask(self, *requests: StepRequest, **settings: Any) -> None:
        async with upstream(self.answer) as base_url:
            provider = provider_at(OpenAIResponsesProvider, base_url, **settings)
            try:
                for each in requests:
                    async with provider.open_step(each) as step:
                        _ = [chunks async for chunks in step]
            finally:
                await provider.close()


@pytest.mark.anyio
async def test_server_without_indices_gets_plain_items_after_its_first_answer() -> None:
    server = Server(AS_LLAMA_CPP, AS_LLAMA_CPP)
    await server.ask(request(ASKED), request(ASKED, ANSWER, AGAIN))
    assert server.inputs[1] == PLAIN


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_refused_references_are_sent_as_plain_items_once(status: int) -> None:
    """And not tried again: the server is known now."""
    server = Server(AS_LLAMA_CPP, AS_LLAMA_CPP, strict=status)
    await server.ask(request(ASKED, ANSWER, AGAIN), request(ASKED, ANSWER, AGAIN))
    first, *others = server.inputs
    assert {"type": "item_reference", "id": "msg_1"} in first
    assert others == [PLAIN, PLAIN]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("history", "status", "settings"),
    [
        ((ASKED, ANSWER, AGAIN), 401, {}),
        ((ASKED, ANSWER, AGAIN), 400, {"compatible": False}),
        ((ASKED,), 400, {}),
    ],
)
async def test_other_refusals_are_final(
    history: tuple[Json, ...], status: int, settings: Json
) -> None:
    """Of a key; of a server that is said to be OpenAI's; of a first message."""
    server = Server(AS_LLAMA_CPP, strict=status)
    with pytest.raises(ProviderRejectedError):
        await server.ask(request(*history), **settings)
    assert len(server.inputs) == 1


@pytest.mark.anyio
async def test_setting_says_that_a_server_keeps_nothing() -> None:
    """Then the first request is plain."""
    server = Server(AS_LLAMA_CPP)
    await server.ask(request(ASKED, ANSWER, AGAIN), compatible=True)
    assert server.inputs == [PLAIN]


# -- through the proxy


def proxied(*, stream: bool) -> Any:
    body = {"input": "Hi", "stream": stream, "model": "m"}
    call = read_call(RESPONSES, json.dumps(body).encode())
    numbers = itertools.count()

    def new_id() -> str:
        return f"id-{next(numbers)}"

    translator = RESPONSES.translator(call, new_id, PartIds())
    return (
        EventsReader(RESPONSES, translator, new_id)
        if stream
        else WholeReader(RESPONSES, translator)
    )


def framed(events: Sequence[Json]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


def test_proxied_answer_without_indices_is_ended_well_when_it_is_stopped() -> None:
    """Each open item has the deltas that came, except half a call."""
    reader = proxied(stream=True)
    part = {"type": "output_text", "text": "", "annotations": []}
    begins = {"type": "response.content_part.added", "item_id": "msg_1", "part": part}
    reader.receive_data(framed([*AS_LLAMA_CPP[:5], begins, *AS_LLAMA_CPP[5:9]]))
    last = reader.close().decode().split("\n\n")
    (ended,) = [json.loads(frame.split("data: ")[1]) for frame in last if "completed" in frame]
    thought, words = ended["response"]["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Ask twice."}]
    assert [part["text"] for part in words["content"]] == ["One moment."]


def test_proxied_whole_answer_shows_its_thinking() -> None:
    """As a streamed one does."""
    reader = proxied(stream=False)
    content = [{"type": "reasoning_text", "text": "Ask twice."}]
    answer = {"id": "r", "model": "m", "output": [{**THOUGHT, "content": content}]}
    reader.receive_data(json.dumps(answer).encode())
    _, chunks = reader.receive_eof()
    assert isinstance(chunks[0], StartStepChunk)
    assert [c.delta for c in chunks if isinstance(c, ReasoningDeltaChunk)] == ["Ask twice."]
