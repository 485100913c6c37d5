"""An agent's output as chunks in a legal order."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.protocol import (
    AnyChunk,
    ChunkWriter,
    Composer,
    IllegalChunkError,
    MalformedFrameError,
    StartChunk,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def composer() -> Composer:
    """A composer whose ids are 1, 2, 3, …"""
    numbers = count(1)
    return Composer("answer", lambda: str(next(numbers)))


def kinds(chunks: list[AnyChunk]) -> list[str]:
    """The chunks' types, a part's own without what they say."""
    return [json.loads(encode(chunk))["type"] for chunk in chunks]


def objects(chunks: list[AnyChunk]) -> list[Any]:
    """The chunks as clients read them."""
    return [json.loads(encode(chunk)) for chunk in chunks]


def test_text_opens_its_step_and_part_once() -> None:
    """A second word is a delta and nothing else; an empty one is nothing."""
    made = composer()
    assert objects(made.text("Hel")) == [
        {"type": "start-step"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Hel"},
    ]
    assert objects(made.text("lo")) == [{"type": "text-delta", "id": "1", "delta": "lo"}]
    assert made.text("") == []
    assert kinds(made.end()) == ["text-end", "finish-step"]
    assert made.end() == []


def test_what_follows_closes_what_was_open() -> None:
    """Reasoning, text and calls do not overlap."""
    made = composer()
    said = [
        *made.reasoning("hm"),
        *made.text("so"),
        *made.reasoning("", provider_metadata={"anthropic": {"signature": "s"}}),
        *made.call("weather", {"city": "Rome"}, "c", title="Weather"),
        *made.file("data:,x", "text/plain"),
    ]
    assert kinds(said) == [
        "start-step",
        *("reasoning-start", "reasoning-delta", "reasoning-end"),
        *("text-start", "text-delta", "text-end"),
        *("reasoning-start", "reasoning-delta", "reasoning-end"),
        "tool-input-available",
        "file",
    ]


def test_next_word_after_all_results_begins_a_step() -> None:
    """As the AI SDK's steps: calls, their results, and then the model again."""
    made = composer()
    made.text("Let me look.")
    made.call("a", {}, "1st")
    made.call_begins("b", "2nd", dynamic=True)
    made.call_input("2nd", '{"x":')
    made.call_input("2nd", "1}")
    assert kinds(made.output("1st", 1)) == ["tool-output-available"]
    assert kinds(made.text("Meanwhile.")) == ["text-start", "text-delta"]
    made.call("b", Raw(b'{"x":\n1}'), "2nd", dynamic=True)
    made.output("2nd", "soon", preliminary=True)
    assert kinds(made.text("Still.")) == ["text-start", "text-delta"]
    assert kinds(made.output_error("2nd", "no")) == ["tool-output-error"]
    assert kinds(made.text("So.")) == [
        *("text-end", "finish-step"),
        *("start-step", "text-start", "text-delta"),
    ]


def test_step_begins_when_it_is_told_to() -> None:
    """Even if the last step is still empty."""
    made = composer()
    assert kinds(made.step()) == ["start-step"]
    assert kinds(made.step()) == ["finish-step", "start-step"]


def test_sources_and_data_leave_text_open() -> None:
    """They stand beside it."""
    made = composer()
    made.text("See")
    said = [
        *made.source("https://example.com", "Example"),
        *made.document("Paper", "application/pdf", filename="p.pdf"),
        *made.data("chart", [1], part_id="c"),
        *made.status("reading"),
        *made.metadata({"a": 1}),
        *made.text(" there"),
    ]
    assert objects(said) == [
        {"type": "source-url", "sourceId": "2", "url": "https://example.com", "title": "Example"},
        {
            "type": "source-document",
            "sourceId": "3",
            "mediaType": "application/pdf",
            "title": "Paper",
            "filename": "p.pdf",
        },
        {"type": "data-chart", "id": "c", "data": [1]},
        {"type": "data-status", "data": {"text": "reading"}, "transient": True},
        {"type": "message-metadata", "messageMetadata": {"a": 1}},
        {"type": "text-delta", "id": "1", "delta": " there"},
    ]


def test_status_opens_no_step() -> None:
    """It is no part of the message."""
    assert kinds(composer().status("queued")) == ["data-status"]


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "text-start", "id": "mine"},
        b'{"type":"text-start","id":"mine"}',
        '{"type":"text-start","id":"mine"}',
    ],
)
def test_any_chunk_can_be_sent(chunk: dict[str, str] | bytes | str) -> None:
    """In any form, and what it opens is closed at the end."""
    made = composer()
    assert kinds(made.chunk(chunk)) == ["start-step", "text-start"]
    assert kinds(made.chunk({"type": "finish-step"})) == ["text-end", "finish-step"]


def test_reset_step_forgets_what_it_said() -> None:
    """The next word opens a part of its own."""
    made = composer()
    made.text("wrong")
    made.call("a", {}, "c")
    made.chunk({"type": "reset-step"})
    assert kinds(made.text("right")) == ["text-start", "text-delta"]


@pytest.mark.parametrize("kind", ["start", "finish"])
def test_agent_cannot_begin_or_finish_the_run(kind: str) -> None:
    """The run does both."""
    with pytest.raises(IllegalChunkError, match="the run writes its own"):
        composer().chunk({"type": kind})


def test_chunk_out_of_order_is_refused_and_changes_nothing() -> None:
    """As if it had not been sent."""
    made = composer()
    with pytest.raises(IllegalChunkError):
        made.output("unknown", 1)
    with pytest.raises(MalformedFrameError):
        made.chunk(b"[]")
    assert kinds(made.text("fine")) == ["start-step", "text-start", "text-delta"]


_ACTS: list[Callable[[Composer, str], list[AnyChunk]]] = [
    lambda made, key: made.text(key),
    lambda made, key: made.reasoning(key),
    lambda made, key: made.call_begins("tool", key),
    lambda made, key: made.call_input(key, "1"),
    lambda made, key: made.call("tool", 1, key),
    lambda made, key: made.output(key, 1),
    lambda made, key: made.output_error(key, "no"),
    lambda made, key: made.source("https://example.com"),
    lambda made, key: made.data("d", 1, part_id=key),
    lambda made, key: made.step(),
    lambda made, key: made.chunk({"type": "text-start", "id": key}),
    lambda made, key: made.chunk({"type": "finish-step"}),
    lambda made, key: made.chunk({"type": "reset-step"}),
]


@given(st.lists(st.tuples(st.sampled_from(_ACTS), st.sampled_from("ab"))))
def test_whatever_an_agent_does_its_chunks_are_legal(
    acts: list[tuple[Callable[[Composer, str], list[AnyChunk]], str]],
) -> None:
    """An illegal chunk is refused, and no part of it is sent."""
    made = composer()
    writer = ChunkWriter("answer")
    writer.write(StartChunk(message_id="answer"))
    for act, key in acts:
        try:
            chunks = act(made, key)
        except IllegalChunkError:
            continue
        for chunk in chunks:
            writer.write(chunk)
    for chunk in [*made.end(), *made.end()]:
        writer.write(chunk)
    assert not {"text-end", "reasoning-end", "finish-step"} & set(kinds(writer.finish("stop")))


def test_step_that_the_agent_begins_lasts_until_the_agent_ends_it() -> None:
    """Another stream's chunks come as they are: its steps are its own."""
    made = composer()
    made.chunk({"type": "start-step"})
    made.call("look", {}, "c1")
    made.output("c1", "seen")
    assert not made.waits_for_results
    assert kinds(made.call("look", {}, "c2")) == ["tool-input-available"]
    assert made.waits_for_results
    assert kinds(made.chunk({"type": "finish-step"})) == ["finish-step"]
    assert kinds(made.text("So.")) == ["start-step", "text-start", "text-delta"]


def test_character_that_is_cut_in_two_is_one_delta() -> None:
    """SDKs hand on what a server has cut; half a character waits, and is replaced in vain."""
    made = composer()
    chunks = [*made.text("a\ud83d"), *made.text("\ude00b"), *made.text("c\ud83d")]
    chunks += [*made.reasoning("\ud83d"), *made.reasoning("\ude00")]
    chunks += made.end()
    said = [o for o in objects(chunks) if o["type"].endswith("-delta")]
    assert [(o["type"], o["delta"]) for o in said] == [
        ("text-delta", "a"),
        ("text-delta", "\U0001f600b"),
        ("text-delta", "c"),
        ("text-delta", "\ufffd"),
        ("reasoning-delta", "\U0001f600"),
    ]


def test_half_a_character_anywhere_else_is_replaced() -> None:
    """Inputs, results, data, sources: what is stored is text."""
    made, half = composer(), "x\ud83d"
    chunks = [*made.call("add", {"a": half}, "c1"), *made.output("c1", [half])]
    chunks += [*made.call("add", {}, "c2"), *made.output_error("c2", half)]
    chunks += [*made.source("https://x.y", half), *made.document(half, "text/plain")]
    chunks += [*made.data("d", {half: half}), *made.metadata({"a": half})]
    chunks += made.chunk({"type": "data-e", "data": half})
    told = json.dumps(objects(chunks), ensure_ascii=False)
    assert told.count("x\ufffd") == 9


def test_half_a_character_waits_for_its_other_half() -> None:
    """In a call's input and in reasoning; one that stays alone is U+FFFD."""
    run = composer()
    run.call_begins("search", "call")
    assert run.call_input("call", "\ud83d") == []
    assert objects(run.call_input("call", "\ude00"))[0]["inputTextDelta"] == "\U0001f600"

    alone = composer()
    alone.reasoning("so\ud83d")
    assert objects(alone.end())[0]["delta"] == "\N{REPLACEMENT CHARACTER}"
