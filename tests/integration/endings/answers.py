"""Answers of the three APIs as frames: a text, a call of a tool, and how the protocol ends them."""

from __future__ import annotations

from typing import Any, Final

from tests.support.scripted import named, sse

APIS: Final = ("chat", "compatible", "responses", "messages")
"""`compatible`: Chat Completions of a server that is not OpenAI's."""


def wire(api: str) -> str:
    """Return the API whose frames these are."""
    return "chat" if api == "compatible" else api


def text(api: str, *words: str) -> list[bytes]:
    """Return the frames of an answer with the text `words`, without its protocol's end."""
    return {"chat": _chat_text, "responses": _responses_text, "messages": _messages_text}[
        wire(api)
    ](words)


def call(api: str, call_id: str, arguments: str = '{"city": "Rome"}') -> list[bytes]:
    """Return the frames of an answer that calls `weather`, whole but for its protocol's end."""
    return {"chat": _chat_call, "responses": _responses_call, "messages": _messages_call}[
        wire(api)
    ](call_id, arguments)


def end(api: str, *, called: bool = False) -> list[bytes]:
    """Return the frames after the text; the last one is the protocol's last event."""
    if wire(api) == "chat":
        reason = "tool_calls" if called else "stop"
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
        return sse(chat({}, reason), {**chat(), "choices": [], "usage": usage}, "[DONE]")
    if api == "responses":
        usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
        response = {**RESPONSE, "status": "completed", "usage": usage}
        return named({"type": "response.completed", "response": response})
    reason = "tool_use" if called else "end_turn"
    delta = {"stop_reason": reason, "stop_sequence": None}
    return named(
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    )


# -- Chat Completions ------------------------------------------------------------------------


def chat(delta: dict[str, Any] | None = None, reason: str | None = None) -> dict[str, Any]:
    """Return one chunk."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "odd-1",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason}],
    }


def _chat_text(words: tuple[str, ...]) -> list[bytes]:
    first = chat({"role": "assistant", "content": ""})
    return sse(first, *(chat({"content": word}) for word in words))


def _chat_call(call_id: str, arguments: str) -> list[bytes]:
    function = {"name": "weather", "arguments": arguments}
    called = {"index": 0, "id": call_id, "type": "function", "function": function}
    return sse(chat({"role": "assistant", "content": None, "tool_calls": [called]}))


# -- Responses -------------------------------------------------------------------------------

RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "odd-1",
    "status": "in_progress",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


def _responses_text(words: tuple[str, ...]) -> list[bytes]:
    at = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "text": "", "annotations": []}
    whole = {**part, "text": "".join(words)}
    return named(
        {"type": "response.created", "response": RESPONSE},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": part},
        *({"type": "response.output_text.delta", **at, "delta": word} for word in words),
        {"type": "response.output_text.done", **at, "text": whole["text"]},
        {"type": "response.content_part.done", **at, "part": whole},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "status": "completed", "content": [whole]},
        },
    )


def _responses_call(call_id: str, arguments: str) -> list[bytes]:
    item = {"id": f"fc_{call_id}", "type": "function_call", "call_id": call_id, "name": "weather"}
    at = {"output_index": 0, "item_id": item["id"]}
    return named(
        {"type": "response.created", "response": RESPONSE},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", **at, "delta": arguments},
        {"type": "response.function_call_arguments.done", **at, "arguments": arguments},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "arguments": arguments, "status": "completed"},
        },
    )


# -- Messages --------------------------------------------------------------------------------


def _message_start() -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "odd-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    return {"type": "message_start", "message": message}


def _messages_text(words: tuple[str, ...]) -> list[bytes]:
    return _block(
        {"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words)
    )


def _messages_call(call_id: str, arguments: str) -> list[bytes]:
    block = {"type": "tool_use", "id": call_id, "name": "weather", "input": {}}
    return _block(block, {"type": "input_json_delta", "partial_json": arguments})


def _block(block: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    return named(
        _message_start(),
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    )
