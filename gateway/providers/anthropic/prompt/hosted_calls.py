"""Calls of Anthropic's own tools, and their results, as the blocks they once were.

The API takes a call back only with its result, so a pair of which one cannot be said
again is left out.

Source: @ai-sdk/anthropic 4.0.105, `convert-to-anthropic-prompt.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from midstream.protocol.codec import UNREADABLE
from midstream.providers.anthropic.prompt.options import AnthropicOptions, anthropic_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from midstream.providers.anthropic.tool_names import ToolNames
    from midstream.providers.conversation.messages import ModelToolCall, ModelToolResult

Block = dict[str, object]

_CODE: Final = "code_execution"
_CODE_INPUT_TYPES: Final = {
    "bash_code_execution": "bash_code_execution",
    "text_editor_code_execution": "text_editor_code_execution",
    "programmatic-tool-call": _CODE,
}
_CODE_RESULTS: Final = {
    "code_execution_result": "code_execution_tool_result",
    "encrypted_code_execution_result": "code_execution_tool_result",
    "bash_code_execution_result": "bash_code_execution_tool_result",
    "bash_code_execution_tool_result_error": "bash_code_execution_tool_result",
}
_EDITOR_RESULT: Final = "text_editor_code_execution_tool_result"
_PASSED_ON: Final = {
    "web_fetch",
    "web_search",
    "tool_search_tool_regex",
    "tool_search_tool_bm25",
    _CODE,
}


def call_block(call: ModelToolCall, names: ToolNames) -> Block | None:
    """Return the block of a call that the provider executed; None if it cannot be said."""
    options = anthropic_options(call.metadata)
    given = decoded(call.input)
    if options.type == "mcp-tool-use":
        if options.server_name is None or not isinstance(given, dict):
            return None
        return {
            "type": "mcp_tool_use",
            "id": call.call_id,
            "name": call.name,
            "input": given,
            "server_name": options.server_name,
        }
    name = names.to_api(call.name)
    if name == "advisor":
        given = {}
    elif name == _CODE and (code_name := _code_tool(given)) is not None:
        name = code_name
        given = {key: value for key, value in given.items() if key != "type"}
    elif name not in _PASSED_ON or not isinstance(given, dict):
        return None
    block: Block = {"type": "server_tool_use", "id": call.call_id, "name": name, "input": given}
    return block | caller_field(options)


def _code_tool(given: Any) -> str | None:
    """Return which of the API's tools an input of code execution was for, if it says it."""
    kind = given.get("type") if isinstance(given, dict) else None
    return _CODE_INPUT_TYPES.get(kind) if isinstance(kind, str) else None


def result_block(result: ModelToolResult, names: ToolNames, *, mcp: bool) -> Block | None:
    """Return the block of such a call's result; None if it cannot be said.

    Args:
        mcp: whether the call was one of an MCP tool.
    """
    value = decoded(result.value)
    failed = result.kind.startswith("error")
    if mcp:
        if result.kind not in ("json", "error-json"):
            return None
        return {
            "type": "mcp_tool_result",
            "tool_use_id": result.call_id,
            "is_error": failed,
            "content": value,
        }
    name = names.to_api(result.name)
    content: object = None
    kind = f"{name}_tool_result"
    if name.startswith("tool_search_"):
        kind = "tool_search_tool_result"
    try:
        if name == _CODE:
            kind, content = _code_result(value, failed=failed)
        elif failed:
            content = _failure(name, kind, value)
        elif (restore := _OUTPUTS.get(name)) is not None:
            content = restore(value)
    except (KeyError, TypeError, AttributeError):
        return None  # not what the tool once answered
    if content is None:
        return None
    block: Block = {"type": kind, "tool_use_id": result.call_id, "content": content}
    # Only results of these two tools have a caller.
    web = name in ("web_search", "web_fetch")
    return block | caller_field(anthropic_options(result.metadata)) if web else block


def caller_field(options: AnthropicOptions) -> dict[str, object]:
    """Return the `caller` field of a block; empty without a caller that the API takes."""
    caller = options.caller
    if caller is None:
        return {}
    if caller.type == "direct":
        return {"caller": {"type": "direct"}}
    if caller.type in ("code_execution_20250825", "code_execution_20260120") and caller.tool_id:
        return {"caller": {"type": caller.type, "tool_id": caller.tool_id}}
    return {}


def decoded(value: msgspec.Raw | msgspec.UnsetType) -> Any:
    """Return a JSON value; None without one."""
    return None if value is UNSET else msgspec.json.decode(value)


def _error_code(value: Any, default: str) -> tuple[str | None, str]:
    """Return an error's type and code, from an output or from the text of an error."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except UNREADABLE:
            value = None
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    kind, code = fields.get("type"), fields.get("errorCode")
    return (
        kind if isinstance(kind, str) else None,
        code if isinstance(code, str) and code else default,
    )


def _failure(name: str, kind: str, value: Any) -> Block | None:
    if name == "advisor":
        _, code = _error_code(value, "unavailable")
        return {"type": "advisor_tool_result_error", "error_code": code}
    if name not in _OUTPUTS:
        return None
    return {"type": f"{kind}_error", "error_code": _error_code(value, "unavailable")[1]}


def _code_result(value: Any, *, failed: bool) -> tuple[str, Block | None]:
    if failed:
        error_type, code = _error_code(value, "unknown")
        error = "code_execution_tool_result_error"
        if error_type == error:
            return "code_execution_tool_result", {"type": error, "error_code": code}
        kind = "bash_code_execution_tool_result"
        return kind, {"type": f"{kind}_error", "error_code": code}
    kind = value["type"]
    if kind in ("code_execution_result", "encrypted_code_execution_result"):
        value = {**value, "content": value.get("content") or []}
    if kind not in _CODE_RESULTS and not kind.startswith("text_editor_code_execution_"):
        return "", None
    return _CODE_RESULTS.get(kind, _EDITOR_RESULT), value


def _pages(value: Any) -> list[Block]:
    return [
        {
            "url": page["url"],
            "title": page.get("title"),
            "page_age": page.get("pageAge"),
            "encrypted_content": page["encryptedContent"],
            "type": page["type"],
        }
        for page in value
    ]


def _fetched(value: Any) -> Block:
    document, source = value["content"], value["content"]["source"]
    content: Block = {
        "type": "document",
        "title": document["title"],
        "source": {
            "type": source["type"],
            "media_type": source["mediaType"],
            "data": source["data"],
        },
    }
    if "citations" in document:
        content["citations"] = document["citations"]
    return {
        "type": "web_fetch_result",
        "url": value["url"],
        "retrieved_at": value["retrievedAt"],
        "content": content,
    }


def _found_tools(value: Any) -> Block:
    if isinstance(value, dict) and value.get("type") == "tool_search_tool_result_error":
        return {"type": value["type"], "error_code": _error_code(value, "unavailable")[1]}
    found = [{"type": "tool_reference", "tool_name": tool["toolName"]} for tool in value]
    return {"type": "tool_search_tool_search_result", "tool_references": found}


def _advice(value: Any) -> Block:
    kind = value["type"]
    if kind == "advisor_tool_result_error":
        return {"type": kind, "error_code": value["errorCode"]}
    redacted = kind == "advisor_redacted_result"
    field, source = ("encrypted_content", "encryptedContent") if redacted else ("text", "text")
    content: Block = {"type": kind, field: value[source]}
    if "stopReason" in value:
        content["stop_reason"] = value["stopReason"]
    return content


_OUTPUTS: Final[Mapping[str, Callable[[Any], object]]] = {
    "web_search": _pages,
    "web_fetch": _fetched,
    "tool_search_tool_regex": _found_tools,
    "tool_search_tool_bm25": _found_tools,
    "advisor": _advice,
}
"""The API's name of a tool -> what makes its output the block's content again."""
