"""What the providers' APIs refuse in a request, as far as their references say it.

A request of ours that one of them would refuse ends a conversation for ever: the same history
goes with every later send.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.fuzz.corpus import Wire


_FITS = re.compile(r"[a-zA-Z0-9_-]{1,128}")


MAX_KEPT_ID = 100_000
"""A compatible server's ids are its own; they may hold more than a name."""


class RefusedError(Exception):
    """An API would answer 400."""


def check_request(wire: Wire, body: bytes) -> None:
    """Raise RefusedError if the API would refuse the body."""
    try:
        request = json.loads(body, parse_constant=_refuse)
        json.dumps(request, ensure_ascii=False).encode()
    except ValueError as error:
        _refuse(f"no JSON: {error}")
    _CHECKS[wire](request)


def _refuse(why: str) -> NoReturn:
    raise RefusedError(why)


def _need(condition: object, why: str) -> None:
    if not condition:
        _refuse(why)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


# -- Anthropic


def _check_anthropic(request: Any) -> None:
    messages = request.get("messages")
    _need(isinstance(messages, list) and messages, "messages: at least one")
    pending: set[str] = set()
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        where = f"messages.{index}"
        _need(role in ("user", "assistant", "system"), f"{where}.role")
        _need(isinstance(content, list) and content, f"{where}.content: must not be empty")
        for position, block in enumerate(content):
            _check_block(block, f"{where}.content.{position}")
        results = [b["tool_use_id"] for b in content if b["type"] == "tool_result"]
        _need(set(results) == pending, f"{where}: tool_use without tool_result, or the reverse")
        _need(len(results) == len(set(results)), f"{where}: two tool_results for one tool_use")
        used = [b["id"] for b in content if b["type"] == "tool_use"]
        _need(len(used) == len(set(used)), f"{where}: tool_use ids must be unique")
        pending = set(used)
    _need(not pending, "tool_use without tool_result")
    _need(messages[0]["role"] == "user", "messages.0: must be a user's")


def _check_block(block: Any, where: str) -> None:
    _need(isinstance(block, dict) and _is_text(block.get("type")), f"{where}.type")
    for field, kinds in _ANTHROPIC_FIELDS.get(block["type"], {}).items():
        _need(isinstance(block.get(field), kinds), f"{where}.{block['type']}.{field}")
    if block["type"] == "text":
        _need(block["text"], f"{where}: text content blocks must be non-empty")
    if block["type"] == "tool_use":
        _need(_FITS.fullmatch(block["id"]), f"{where}.tool_use.id")
        _need(_FITS.fullmatch(block["name"]), f"{where}.tool_use.name")
    if "citations" in block and block["type"] == "text":
        citations = block["citations"]
        _need(isinstance(citations, list), f"{where}.citations")
        _need(all(isinstance(c, dict) and _is_text(c.get("type")) for c in citations), where)
    if "source" in block:
        source = block["source"]
        _need(_is_text(source.get("type")), f"{where}.source.type")
        fields = set(source) - {"type", "content", "title", "context"}
        _need(all(_is_text(source[field]) for field in fields), f"{where}.source")
    caller = block.get("caller")
    if caller is not None:
        _need(isinstance(caller, dict) and _is_text(caller.get("type")), f"{where}.caller")
        _need(caller["type"] == "direct" or _is_text(caller.get("tool_id")), f"{where}.caller")


_ANTHROPIC_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": str},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "server_tool_use": {"id": str, "name": str, "input": dict},
    "mcp_tool_use": {"id": str, "name": str, "input": dict, "server_name": str},
    "tool_result": {"tool_use_id": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "compaction": {"content": str},
    "container_upload": {"file_id": str},
    "web_search_tool_result": {"tool_use_id": str, "content": (list, dict)},
    "web_fetch_tool_result": {"tool_use_id": str, "content": dict},
    "code_execution_tool_result": {"tool_use_id": str, "content": dict},
    "bash_code_execution_tool_result": {"tool_use_id": str, "content": dict},
    "advisor_tool_result": {"tool_use_id": str, "content": dict},
    "tool_search_tool_result": {"tool_use_id": str, "content": dict},
}


# -- Chat Completions


def _check_chat(request: Any, *, compatible: bool = False) -> None:
    messages = request.get("messages")
    _need(isinstance(messages, list) and messages, "messages: at least one")
    pending: list[str] = []
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        where = f"messages.{index}"
        _need(role in ("system", "developer", "user", "assistant", "tool"), f"{where}.role")
        calls = message.get("tool_calls")
        _need(_is_content(content) or (calls and content is None), f"{where}.content")
        if role == "tool":
            _need(message.get("tool_call_id") in pending, f"{where}: no such tool call")
            pending.remove(message["tool_call_id"])
            continue
        _need(not pending, f"{where}: tool calls without results: {pending}")
        if calls is not None:
            _need(isinstance(calls, list) and calls, f"{where}.tool_calls: must not be empty")
            for call in calls:
                _check_function(call, where, MAX_KEPT_ID if compatible else 40)
            pending = [call["id"] for call in calls]
    _need(not pending, f"tool calls without results: {pending}")


def _check_function(call: Any, where: str, max_id: int) -> None:
    _need(_is_text(call.get("id")), f"{where}.tool_calls.id")
    _need(0 < len(call["id"]) <= max_id, f"{where}.tool_calls.id: empty, or too long")
    function = call.get("function", {})
    _need(_is_text(function.get("name")), f"{where}.tool_calls.function.name")
    _need(_FITS.fullmatch(function["name"]), f"{where}.tool_calls.function.name")
    _need(_is_text(function.get("arguments")), f"{where}.tool_calls.function.arguments")


def _is_content(content: Any) -> bool:
    if isinstance(content, list):
        return bool(content) and all(
            isinstance(part, dict) and _is_text(part.get("type")) for part in content
        )
    return isinstance(content, str)


# -- Responses


def _check_responses(request: Any) -> None:
    items = request.get("input")
    _need(isinstance(items, list) and items, "input: must not be empty")
    for index, item in enumerate(items):
        where = f"input.{index}"
        kind = item.get("type", "message")
        _need(_is_text(kind), f"{where}.type")
        if kind == "message":
            roles = ("system", "developer", "user", "assistant")
            _need(item.get("role") in roles, f"{where}.role")
            _need(_is_content(item.get("content")), f"{where}.content")
        for field, kinds in _RESPONSES_FIELDS.get(kind, {}).items():
            _need(isinstance(item.get(field), kinds), f"{where}.{kind}.{field}")
        if kind == "function_call":
            _need(_FITS.fullmatch(item["name"]), f"{where}.name")
            _need(len(item["call_id"]) <= 64, f"{where}.call_id: too long")
        caller = item.get("caller")
        if caller is not None:
            _need(isinstance(caller, dict) and _is_text(caller.get("type")), f"{where}.caller")
            is_direct = caller["type"] == "direct"
            _need(is_direct or _is_text(caller.get("caller_id")), f"{where}.caller.caller_id")
    _check_pairs(items)


def _check_pairs(items: Sequence[Any]) -> None:
    for kind in _ANSWERED:
        called = {i["call_id"] for i in items if i.get("type") == kind}
        answered = {i["call_id"] for i in items if i.get("type") == f"{kind}_output"}
        _need(called == answered, f"{kind}: {called}, but outputs {answered}")


def _check_plain(request: Any) -> None:
    _check_responses(request)
    for index, item in enumerate(request["input"]):
        _need(item.get("type") in _PLAIN, f"input.{index}: an item of {item.get('type')}")
        _need("id" not in item, f"input.{index}: an id of what nobody keeps")


_PLAIN = ("message", "reasoning", "function_call", "function_call_output")
"""Items of a server that stores nothing, and has no tools of its own."""

_ANSWERED = (
    *("function_call", "custom_tool_call", "shell_call", "local_shell_call"),
    *("apply_patch_call", "computer_call"),
)

_RESPONSES_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "item_reference": {"id": str},
    "function_call": {"call_id": str, "name": str, "arguments": str},
    "function_call_output": {"call_id": str, "output": (str, list)},
    "custom_tool_call": {"call_id": str, "name": str, "input": str},
    "reasoning": {"summary": list},
    "compaction": {"encrypted_content": str},
    "mcp_approval_response": {"approval_request_id": str, "approve": bool},
    "shell_call": {"call_id": str, "action": dict},
    "local_shell_call": {"call_id": str, "action": dict},
    "computer_call": {"call_id": str, "actions": list},
    "apply_patch_call": {"call_id": str, "operation": dict},
}

_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "anthropic": _check_anthropic,
    "openai-chat": _check_chat,
    "openai-compatible": partial(_check_chat, compatible=True),
    "openai-responses": _check_responses,
    "openai-plain": _check_plain,
}
