"""Halves of characters are put together; what stays alone, or is no text, becomes U+FFFD."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol.json_values import repaired_text
from midstream.protocol.surrogates import EventHalves, TextHalves, well_formed

HIGH, LOW, WHOLE = "\ud83d", "\ude00", "\U0001f600"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rb'{"a":"plain"}', rb'{"a":"plain"}'),
        (rb'{"a":"\u00e9\ud83d\ude00"}', rb'{"a":"\u00e9\ud83d\ude00"}'),
        (rb'{"a":"\ud83d"}', rb'{"a":"\ufffd"}'),
        (rb'{"a":"\uDE00x"}', rb'{"a":"\ufffdx"}'),
        (rb'{"a":"\ud83d\ud83d\ude00"}', rb'{"a":"\ufffd\ud83d\ude00"}'),
        (rb'{"a":"\\ud83d"}', rb'{"a":"\\ud83d"}'),
        (rb'{"a":"\\\ud83d"}', rb'{"a":"\\\ufffd"}'),
        (rb'{"\ud83d":1}', rb'{"\ufffd":1}'),
        ("é".encode(), "é".encode()),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
        (b'{"a":"\xed\xa0\xbd"}', '{"a":"\ufffd\ufffd\ufffd"}'.encode()),
    ],
)
def test_json_becomes_well_formed(data: bytes, expected: bytes) -> None:
    """And stays itself where it is."""
    assert well_formed(data) == expected


TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)


@given(TEXTS, st.binary(max_size=3))
def test_any_json_is_readable_afterwards(text: str, noise: bytes) -> None:
    """Half characters and wrong bytes are replaced; nothing else is changed."""
    data = json.dumps({text: [text]}).encode().replace(b'"]', noise.replace(b'"', b"") + b'"]')
    clean = well_formed(data)
    clean.decode()
    if noise == b"":
        assert msgspec.json.decode(clean) == {repaired_text(text): [repaired_text(text)]}


@given(st.lists(TEXTS, max_size=6))
def test_texts_deltas_say_what_they_say_together(deltas: list[str]) -> None:
    """Wherever a character is cut."""
    halves = TextHalves()
    said = "".join(map(halves.add, deltas)) + halves.rest()
    assert said == repaired_text("".join(deltas))


def chat(text: str) -> Any:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}


def calling(text: str) -> Any:
    called = {"index": 1, "function": {"arguments": text}}
    return {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": [called]}}]}


def thinking(text: str) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": None, "reasoning": text}}]}


def parts(text: str) -> Any:
    content = [3, {"type": "text", "text": text}, {"type": "thinking", "thinking": 3}]
    return {"choices": [{"index": 0, "delta": {"content": content}}]}


def thinking_parts(text: str) -> Any:
    content = [{"type": "thinking", "thinking": ["x", {"type": "text", "text": text}]}]
    return {"choices": [{"index": 0, "delta": {"content": content}}]}


def details(text: str) -> Any:
    detail = {"type": "reasoning.summary", "index": 0, "summary": text}
    return {"choices": [{"index": 0, "delta": {"reasoning_details": [detail]}}]}


def block(text: str) -> Any:
    return {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "text_delta", "text": text},
    }


def response(text: str) -> Any:
    return {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": text}


def chunk(text: str) -> Any:
    return {"type": "text-delta", "id": "0", "delta": text}


def call_chunk(text: str) -> Any:
    return {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": text}


SHAPES = {
    chat: "content",
    calling: "arguments",
    thinking: "reasoning",
    parts: "text",
    thinking_parts: "text",
    details: "summary",
    block: "text",
    response: "delta",
    chunk: "delta",
    call_chunk: "inputTextDelta",
}
"""Makes a delta -> the field that its text is in."""

END = {"type": "something-else"}


def said(shape: Any, events: list[bytes]) -> str:
    """The texts of a shape's events, joined; each must be one."""
    field = SHAPES[shape]

    def find(value: Any) -> str:
        if isinstance(value, dict):
            return "".join(
                inner if key == field and isinstance(inner, str) else find(inner)
                for key, inner in value.items()
            )
        return "".join(map(find, value)) if isinstance(value, list) else ""

    return "".join(find(msgspec.json.decode(event)) for event in events)


@pytest.mark.parametrize("shape", SHAPES)
@given(deltas=st.lists(TEXTS, min_size=1, max_size=5))
def test_streams_deltas_say_what_they_say_together(shape: Any, deltas: list[str]) -> None:
    """In each protocol, one event or two for each, all of them readable."""
    halves = EventHalves()
    events: list[bytes] = []
    for delta in deltas:
        events += halves.add(json.dumps(shape(delta)).encode())
    events += halves.rest()
    assert said(shape, events) == repaired_text("".join(deltas))


@pytest.mark.parametrize("shape", SHAPES)
def test_half_in_vain_comes_before_what_ends_its_part(shape: Any) -> None:
    """A delta behind the end of its part would be lost."""
    halves = EventHalves()
    assert said(shape, halves.add(json.dumps(shape("a" + HIGH)).encode())) == "a"
    assert halves.waiting
    assert halves.add(b'{"type":"ping"}') == [b'{"type":"ping"}']
    *late, end = halves.add(json.dumps(END).encode())
    assert (said(shape, late), msgspec.json.decode(end)) == ("\ufffd", END)
    assert not halves.waiting


def test_texts_of_one_event_are_each_put_together() -> None:
    """OpenRouter says a thought twice, and signs one of the two."""
    halves = EventHalves()
    events: list[Any] = []
    for text in ("a" + HIGH, LOW + "b" + HIGH):
        detail = {"type": "reasoning.text", "index": 0, "text": text}
        delta = {"content": "", "reasoning": text, "reasoning_details": [detail]}
        event = {"id": "c", "choices": [{"index": 0, "delta": delta}]}
        events += map(msgspec.json.decode, halves.add(json.dumps(event).encode()))
    events += map(msgspec.json.decode, halves.rest())
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == f"a{WHOLE}b\ufffd"
    told = [each for delta in deltas for each in delta.get("reasoning_details", ())]
    assert "".join(each["text"] for each in told) == f"a{WHOLE}b\ufffd"
    assert {(each["type"], each["index"]) for each in told} == {("reasoning.text", 0)}


def test_deltas_of_other_parts_may_come_between_two_halves() -> None:
    """Calls that stream side by side, for example."""
    halves = EventHalves()
    events = [
        {"type": "content_block_delta", "index": index, "delta": {"type": "t", "text": text}}
        for index, text in ((0, HIGH), (1, "b"), (1, HIGH), (0, LOW), (1, LOW))
    ]
    came = [
        msgspec.json.decode(e) for event in events for e in halves.add(json.dumps(event).encode())
    ]
    texts = {0: "", 1: ""}
    for event in came:
        texts[event["index"]] += event["delta"]["text"]
    assert texts == {0: WHOLE, 1: "b" + WHOLE}


def test_block_delta_of_a_later_api_is_passed_on() -> None:
    """None of its fields is a text that continues; the half character in it is replaced."""
    halves = EventHalves()
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "new", "seen": HIGH}}
    (told,) = halves.add(json.dumps(event).encode())
    assert msgspec.json.decode(told) == {**event, "delta": {"type": "new", "seen": "\ufffd"}}
    assert halves.rest() == []


@pytest.mark.parametrize("event", [b"", b"[DONE]", b"\\ud83d", b'"\\ud83d"', b'[1,"\\ud83d"]'])
def test_event_that_is_no_object_is_passed_on(event: bytes) -> None:
    """Its reader reports the mistake."""
    assert len(EventHalves().add(event)) == 1


@pytest.mark.parametrize("name", [{"a": 1}, [1]])
def test_part_whose_name_is_no_name_is_read_all_the_same(name: object) -> None:
    """In each of the wires: its text may still hold half a character."""
    for event in (
        {"type": "response.output_text.delta", "output_index": name, "item_id": name},
        {"type": "content_block_delta", "index": name, "delta": {"type": "text_delta"}},
        {"choices": [{"index": name, "delta": {"tool_calls": [{"index": name, "function": {}}]}}]},
    ):
        halves = EventHalves()
        text = json.dumps(event).replace('"function": {}', '"function": {"arguments": "HALF"}')
        text = text.replace('"text_delta"', '"text_delta", "text": "HALF"')
        text = text.replace('"item_id"', '"delta": "HALF", "item_id"')
        told = [*halves.add(text.replace("HALF", r"so \ud83d").encode()), *halves.rest()]
        assert b"so " in b"".join(told)
        assert "\ufffd" in b"".join(told).decode()


def test_event_of_any_depth_is_read_without_lone_surrogates() -> None:
    """A stranger's JSON may be as deep as the decoder allows, or deeper."""
    for depth in (300, 900, 100_000):
        event = b'{"a":' + b"[" * depth + rb'"\ud83d"' + b"]" * depth + b"}"
        [told] = EventHalves().add(event)
        assert rb"\ud83d" not in told
