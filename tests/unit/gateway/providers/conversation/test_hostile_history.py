"""A history that strangers have written: what no model can be told is left out, and no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import Raw

from midstream.protocol.messages import UIMessage
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.base import StepRequest, ToolSpec
from midstream.providers.conversation.json_text import MAX_DEPTH, sound
from midstream.providers.openai_chat.compatible.dialect import Dialect
from midstream.providers.openai_chat.compatible.prompt import compatible_request
from midstream.providers.openai_chat.prompt import chat_request
from midstream.providers.openai_responses.prompt.request import responses_request
from tests.fuzz.corpus import WIRES
from tests.fuzz.strict_apis import check_request

if TYPE_CHECKING:
    from tests.fuzz.corpus import Wire

Json = dict[str, Any]

CALL: Final[Json] = {"toolCallId": "c1", "state": "output-available", "input": {}, "output": "so"}
HOSTED: Final[Json] = {**CALL, "providerExecuted": True}
TOOLS: Final = [
    ToolSpec(name="shell", provider_type="shell"),
    ToolSpec(name="code_execution", provider_type="code_execution_20250825"),
]


def raw_message(role: str, *parts: bytes) -> UIMessage:
    """Return a message of which the parts' bytes are as they were stored."""
    raw = b'{"id":"m","role":"%b","parts":[%b]}' % (role.encode(), b",".join(parts))
    return UIMessage(id="m", role=role, parts=tuple(map(Raw, parts)), raw=Raw(raw))  # type: ignore[arg-type]


def text(words: str) -> bytes:
    """Return a part that nothing is wrong with."""
    return json.dumps({"type": "text", "text": words}).encode()


def body_of(wire: Wire, *messages: UIMessage) -> bytes:
    """Return the request that a provider would be sent."""
    request = StepRequest(model="m", messages=messages, tools=TOOLS, new_id=str)
    if wire == "anthropic":
        return json.dumps(build_request(request).body).encode()
    if wire == "openai-compatible":
        return compatible_request(request, Dialect())
    if wire == "openai-chat":
        return chat_request(request)
    return responses_request(request, plain=wire == "openai-plain")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "mediaType": "image/png", "url": "", "providerReference": "file_1"},
        {"type": "file", "mediaType": "image/png", "url": "", "providerReference": {"openai": 1}},
        {"type": "file", "mediaType": "image/png", "url": "https://["},
        {"type": "file", "mediaType": "text/plain", "url": "data:text/plain;base64,@"},
        {"type": "file", "mediaType": "", "url": ""},
        {"type": "text", "text": 21},
        {"type": "text", "text": "x", "providerMetadata": "anthropic"},
        {"type": "text", "text": "x", "providerMetadata": {"anthropic": {"cacheControl": "on"}}},
        {"type": ["text"]},
        {"text": "no type"},
        {"type": "tool-", "toolCallId": 5},
        "a string",
        None,
    ],
)
def test_persons_part_that_no_model_can_be_told_is_left_out_or_told_of(
    wire: Wire, part: Any
) -> None:
    """And what stands beside it is sent."""
    asked = raw_message("user", json.dumps(part).encode(), text("How is it?"))
    body = body_of(wire, asked)
    check_request(wire, body)

    assert b"How is it?" in body


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "part",
    [
        HOSTED | {"type": "tool-code_execution", "input": {"type": ["x"]}},
        HOSTED | {"type": "tool-code_execution", "input": ["x"]},
        HOSTED | {"type": "tool-code_execution", "output": {"type": ["x"]}},
        HOSTED | {"type": "tool-web_search", "output": [{"url": 1}]},
        HOSTED | {"type": "tool-web_fetch", "output": {"content": 1}},
        HOSTED | {"type": "tool-shell", "output": {"output": [{"outcome": 1}]}},
        HOSTED | {"type": "dynamic-tool", "toolName": "mcp.echo", "state": "approval-responded"}
        | {"approval": {"id": "a", "approved": False}},
        CALL | {"type": "tool-shell", "input": {"action": 5}},
        CALL | {"type": "tool-shell", "input": {"action": {"commands": ["ls"]}}, "output": "text"},
        CALL | {"type": "tool-shell", "state": "output-error", "errorText": "no"}
        | {"input": {"action": {"commands": ["ls"]}}},
        CALL | {"type": "tool-weather", "input": "no object"},
        CALL
        | {
            "type": "tool-weather",
            "callProviderMetadata": {"openai": {"caller": {"type": "program"}}},
        },
        CALL
        | {
            "type": "tool-weather",
            "callProviderMetadata": {"anthropic": {"caller": {"type": ["x"]}}},
        },
        {"type": "text", "text": "x", "providerMetadata": {"anthropic": {"citations": ["x"]}}},
        {"type": "reasoning", "text": "x", "providerMetadata": {"openai": {"itemId": 5}}},
        {"type": "custom", "kind": "openai.compaction", "providerMetadata": {"openai": []}},
        {"type": "steering-message", "parts": 5},
    ],
)  # fmt: skip
def test_answers_part_that_no_model_can_be_told_is_left_out(wire: Wire, part: Json) -> None:
    """A call with its result, or neither."""
    parts = text("Well. "), json.dumps(part).encode(), text("So.")
    history = raw_message("user", text("Hi")), raw_message("assistant", *parts)
    body = body_of(wire, *history, raw_message("user", text("How is it?")))
    check_request(wire, body)

    assert b"How is it?" in body
    assert b"Well." in body


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "value",
    [
        b"1e999",
        b"9" * 5_000,
        b'"\xff"',
        rb'"\ud83d"',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_values_that_other_parsers_take_break_no_request(wire: Wire, value: bytes) -> None:
    """In a tool's input and output, and in the metadata of a text."""
    call = b'{"type":"tool-t","toolCallId":"c","state":"output-available","input":{"a":%b},'
    parts = (
        call % value + b'"output":' + value + b"}",
        b'{"type":"text","text":"Well.","providerMetadata":{"anthropic":{"a":%b}}}' % value,
    )
    history = raw_message("user", text("Hi")), raw_message("assistant", *parts, text("So."))
    body = body_of(wire, *history, raw_message("user", text("How is it?")))
    check_request(wire, body)

    assert b"How is it?" in body
    assert b"So." in body


@pytest.mark.parametrize("wire", WIRES)
def test_conversation_of_which_the_first_message_cannot_be_told_begins_with_a_person(
    wire: Wire,
) -> None:
    """Or with who answered, where the API allows it."""
    asked = raw_message("user", b'{"type":"data-form","data":{}}')
    body = body_of(
        wire, asked, raw_message("assistant", text("Well.")), raw_message("user", text("?"))
    )
    check_request(wire, body)


@pytest.mark.parametrize("wire", WIRES)
def test_call_of_another_provider_gets_an_id_and_a_name_that_the_api_takes(wire: Wire) -> None:
    """The same for the call and its result; others stay as they are."""
    odd = CALL | {"type": "dynamic-tool", "toolName": "geo.weather", "toolCallId": "fn.weather:0"}
    long = CALL | {"type": "tool-weather", "toolCallId": "c" * 100}
    parts = [json.dumps(part).encode() for part in (CALL | {"type": "tool-weather"}, odd, long)]
    history = raw_message("user", text("Hi")), raw_message("assistant", *parts, text("So."))
    body = body_of(wire, *history, raw_message("user", text("How is it?")))
    check_request(wire, body)

    assert body.count(b'"c1"') == 2
    # A compatible server's ids are its own.
    assert body.count(b"fn.weather:0" if wire == "openai-compatible" else b"fn_weather_0_") == 2
    assert b"geo_weather_" in body


def test_sound_json_stays_as_it_is() -> None:
    """Byte by byte: providers cache prompts by their characters."""
    raw = Raw(b'{ "a" : 1.0, "b": "\\u00e9" }')
    assert sound(raw) is raw
