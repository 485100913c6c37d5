"""Answers that came whole, as the events that would have streamed them.

So there is one translation of each API, and a call that does not stream shows the same
message as one that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.protocol.codec import UNREADABLE
from midstream.providers.passthrough.call import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Json = dict[str, Any]

UNLIKE_AN_ANSWER: Final = (*UNREADABLE, ValueError, TypeError, KeyError, AttributeError)
"""What `events_of` raises for a body that is no answer of its API."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def events_of(wire: Wire, body: bytes) -> Iterator[bytes]:
    """Yield the events' JSON, in order.

    Raises:
        msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError: not an answer of
            this API.
    """
    for event in _EVENTS[wire](_decode(body)):
        yield _encode(event)


def _chat(answer: Json) -> Iterator[Json]:
    head = {name: answer.get(name) for name in ("id", "model", "created")}
    for choice in answer["choices"][:1]:
        message: Json = choice["message"]
        calls = [
            {**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())
        ]
        delta = {**message, "tool_calls": calls or None}
        yield {**head, "choices": [{"delta": delta}]}
        ending = {"delta": {}, "finish_reason": choice.get("finish_reason")}
        yield {**head, "choices": [ending], "usage": answer.get("usage")}


def _responses(answer: Json) -> Iterator[Json]:
    yield {"type": "response.created", "response": {**answer, "output": []}}
    for index, item in enumerate(answer["output"]):
        at = {"output_index": index, "item_id": item.get("id", "")}
        begun = {**item}
        for streamed in ("content", "summary", "arguments", "input"):
            if isinstance(begun.get(streamed), (str, list)):
                begun[streamed] = type(begun[streamed])()
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        yield from _item(item, at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{answer.get('status', 'completed')}", "response": answer}


def _item(item: Json, at: Json) -> Iterator[Json]:
    kind = item.get("type")
    if kind == "message":
        for number, part in enumerate(item.get("content") or ()):
            here = {**at, "content_index": number}
            if part.get("type") == "refusal":
                yield {"type": "response.refusal.delta", **here, "delta": part["refusal"]}
                continue
            yield {"type": "response.output_text.delta", **here, "delta": part.get("text", "")}
            for annotation in part.get("annotations") or ():
                yield {
                    "type": "response.output_text.annotation.added",
                    **here,
                    "annotation": annotation,
                }
    elif kind == "reasoning":
        for number, part in enumerate(item.get("summary") or ()):
            here = {**at, "summary_index": number}
            yield {"type": "response.reasoning_summary_part.added", **here}
            yield {
                "type": "response.reasoning_summary_text.delta",
                **here,
                "delta": part.get("text", ""),
            }
            yield {"type": "response.reasoning_summary_part.done", **here}
        for number, part in enumerate(item.get("content") or ()):
            here = {**at, "content_index": number}
            yield {"type": "response.reasoning_text.delta", **here, "delta": part.get("text", "")}
    elif kind == "function_call":
        delta = item.get("arguments", "")
        yield {"type": "response.function_call_arguments.delta", **at, "delta": delta}
    elif kind == "custom_tool_call":
        delta = item.get("input", "")
        yield {"type": "response.custom_tool_call_input.delta", **at, "delta": delta}


def _messages(answer: Json) -> Iterator[Json]:
    begun = {**answer, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(answer["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _begun(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": answer.get("stop_reason")}
    yield {"type": "message_delta", "delta": ending, "usage": answer.get("usage") or {}}
    yield {"type": "message_stop"}


def _begun(block: Json) -> Json:
    kind = block.get("type")
    if kind == "text":
        return {**block, "text": ""}
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}
    if kind in ("tool_use", "server_tool_use"):
        return {**block, "input": {}}
    return block


def _deltas(block: Json) -> Iterator[Json]:
    kind = block.get("type")
    if kind == "text":
        for citation in block.get("citations") or ():
            yield {"type": "citations_delta", "citation": citation}
        yield {"type": "text_delta", "text": block["text"]}
    elif kind == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block.get("signature", "")}
    elif kind in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": _encode(block["input"]).decode()}


_EVENTS: Final[dict[Wire, Callable[[Json], Iterator[Json]]]] = {
    Wire.CHAT: _chat,
    Wire.RESPONSES: _responses,
    Wire.MESSAGES: _messages,
}
