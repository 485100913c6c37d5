"""Streams with disordered, broken, doubled or missing events; and with very many at once."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstream.protocol.assembler import Assembler
from midstream.protocol.codec import decode
from midstream.protocol.errors import IllegalChunkError
from midstream.protocol.writer import ChunkWriter
from tests.conformance import oracle

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts"
PROVIDERS: Final = ["anthropic", "openai-responses", "openai-chat"]
ADD: Final[Json] = {"type": "function", "name": "add", "inputSchema": {"type": "object"}}
CALLS: Final = 100
ROUNDS: Final = 100


def transcripts(provider: str) -> list[list[bytes]]:
    """Return each transcript's events."""
    if provider == "anthropic":
        files = sorted((TRANSCRIPTS / provider).glob("*.sse"))
        return [oracle.events_of(file) for file in files]
    return [
        oracle.as_bytes(case["events"])
        for file in sorted((TRANSCRIPTS / provider).glob("*.json"))
        for case in json.loads(file.read_bytes())
    ]


STREAMS: Final = {provider: transcripts(provider) for provider in PROVIDERS}


def translate(provider: str, events: list[bytes]) -> list[Json]:
    """Run events through the provider's translator."""
    return oracle.translate(provider, events, {"tools": [ADD]})[0]


def write(chunks: list[Json]) -> Json:
    """Write a run of chunks, as a producer does, to its end; return its message.

    Only chunks that are out of order are dropped.
    """
    writer, assembler = ChunkWriter("m"), Assembler("m")
    run = [decode(b'{"type":"start","messageId":"m"}')]
    writer.write(run[0])
    for chunk in chunks:
        with suppress(IllegalChunkError):
            run += writer.admit(decode(json.dumps(chunk).encode()))
    run += writer.finish("stop")
    assembler.apply_all(run)
    message: Json = json.loads(assembler.message())
    return message


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_disordered_events_make_a_legal_run(provider: str, data: st.DataObject) -> None:
    """After events were moved, doubled, cut or lost, the run can be written and assembled."""
    events = list(data.draw(st.sampled_from(STREAMS[provider])))
    others = data.draw(st.sampled_from(STREAMS[provider]))
    for _ in range(data.draw(st.integers(1, 6))):
        if not events:
            break
        index = data.draw(st.integers(0, len(events) - 1))
        match data.draw(st.sampled_from(["move", "double", "lose", "cut", "mix", "end"])):
            case "move":
                events.insert(data.draw(st.integers(0, len(events) - 1)), events.pop(index))
            case "double":
                events.insert(index, events[index])
            case "lose":
                del events[index]
            case "cut":
                events[index] = events[index][: len(events[index]) // 2]
            case "mix":
                events[index:index] = others[: index + 1]
            case "end":
                del events[index:]
    parts = write(translate(provider, events))["parts"]
    uses = Counter(part.get("toolCallId") for part in parts)
    # A call that begins twice is two parts, of which a client closes the first.
    once = [part for part in parts if uses[part.get("toolCallId")] == 1 or "text" in part]
    assert {part.get("state") for part in once}.isdisjoint({"streaming", "input-streaming"})


def parallel(provider: str) -> list[bytes]:
    """Return a stream in which parallel calls receive their inputs, a piece at a time."""
    pieces = ['{"text":"', *["x"] * (ROUNDS - 2), '"}']
    if provider == "anthropic":
        events = [_anthropic_start()]
        events += [
            _block(i, "start", content_block={"type": "tool_use", "id": f"c{i}", "name": "add"})
            for i in range(CALLS)
        ]
        events += [
            _block(i, "delta", delta={"type": "input_json_delta", "partial_json": piece})
            for piece in pieces
            for i in range(CALLS)
        ]
        events += [_block(i, "stop") for i in range(CALLS)]
        usage = {"output_tokens": 1}
        events += [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}]
        events += [{"type": "message_stop"}]
    elif provider == "openai-chat":
        first = [
            {"index": i, "id": f"c{i}", "function": {"name": "add", "arguments": ""}}
            for i in range(CALLS)
        ]
        events = [_choice({"tool_calls": [call]}) for call in first]
        events += [
            _choice({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
            for piece in pieces
            for i in range(CALLS)
        ]
        events += [_choice({}, "tool_calls")]
    else:
        response = {"id": "r", "created_at": 1, "model": "m"}
        events = [{"type": "response.created", "response": response}]
        events += [_item(i, "added", "") for i in range(CALLS)]
        events += [
            {
                "type": "response.function_call_arguments.delta",
                "item_id": f"f{i}",
                "output_index": i,
                "delta": piece,
            }
            for piece in pieces
            for i in range(CALLS)
        ]
        events += [_item(i, "done", "".join(pieces)) for i in range(CALLS)]
        usage = {"input_tokens": 1, "output_tokens": 1}
        events += [{"type": "response.completed", "response": {**response, "usage": usage}}]
    return [json.dumps(event).encode() for event in events]


def _anthropic_start() -> Json:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {"type": "message_start", "message": {**message, "usage": usage}}


def _block(index: int, kind: str, **fields: Any) -> Json:
    block = fields.get("content_block")
    if block is not None:
        block["input"] = {}
    return {"type": f"content_block_{kind}", "index": index, **fields}


def _choice(delta: Json, reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "x", "created": 1, "model": "m", "choices": [choice]}


def _item(index: int, kind: str, arguments: str) -> Json:
    item = {"type": "function_call", "id": f"f{index}", "call_id": f"c{index}", "name": "add"}
    item |= {"arguments": arguments, "status": "completed"}
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": item}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_ten_thousand_parallel_deltas_are_the_ai_sdks(provider: str, ai_sdk: AiSdk) -> None:
    """A hundred calls at once, each with a hundred pieces: none is lost or mixed up."""
    events = parallel(provider)
    texts = [event.decode() for event in events]
    (theirs,) = ai_sdk.streams([{"provider": provider, "events": texts, "tools": [ADD]}])
    chunks = translate(provider, events)
    expected = theirs["chunks"]
    ids = range(CALLS)
    for call in (f"c{i}" for i in ids):
        assert [c for c in chunks if c.get("toolCallId") == call] == [
            c for c in expected if c.get("toolCallId") == call
        ]
    deltas = [c for c in chunks if c["type"] == "tool-input-delta"]
    assert len(deltas) == CALLS * ROUNDS
    inputs = [part["input"] for part in write(chunks)["parts"] if "toolCallId" in part]
    assert inputs == [{"text": "x" * (ROUNDS - 2)}] * CALLS
