"""Calls of OpenAI's own tools, and their results, as the input items that they once were.

They are rebuilt when the provider has not stored them: from the shapes that the AI SDK's
tools declare to the API's.

Source: @ai-sdk/openai 4.0.118, `responses/convert-to-openai-responses-input.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.json_text import stringified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from midstream.providers.conversation.messages import ModelToolCall, ModelToolResult
    from midstream.providers.openai.options import PartOptions

Item = dict[str, object]
_Fields = dict[str, Raw]

_LOCAL_SHELL: Final = {
    "command": "command",
    "timeoutMs": "timeout_ms",
    "user": "user",
    "workingDirectory": "working_directory",
    "env": "env",
}
_SHELL: Final = {
    "commands": "commands",
    "timeoutMs": "timeout_ms",
    "maxOutputLength": "max_output_length",
}
_SCREENSHOT: Final = {"imageUrl": "image_url", "fileId": "file_id", "detail": "detail"}
_WEB_ACTIONS: Final = {
    "search": ("search", ("query", "queries")),
    "openPage": ("open_page", ("url",)),
    "findInPage": ("find_in_page", ("url", "pattern")),
}

_fields_decoder = msgspec.json.Decoder(_Fields)
_list_decoder = msgspec.json.Decoder(list[_Fields])


def provider_call(kind: str, call: ModelToolCall, options: PartOptions) -> Item | None:
    """Rebuild a call; None if it is of no such tool, or its input is not the tool's."""
    build = _CALLS.get(kind)
    if build is None or call.input is UNSET:
        return None
    try:
        return build(call, options)
    except (*UNREADABLE, KeyError):
        return None


def hosted_result(kind: str | None, result: ModelToolResult, item_id: str) -> Item | None:
    """Rebuild the result of a tool that the provider executed; None if the API takes none."""
    return _result(_HOSTED_RESULTS, kind, result, item_id)


def client_result(kind: str | None, result: ModelToolResult) -> Item | None:
    """Rebuild the result of a provider's tool that the client executed."""
    return _result(_CLIENT_RESULTS, kind, result, "")


def _result(
    table: Mapping[str, Callable[[ModelToolResult, str], Item]],
    kind: str | None,
    result: ModelToolResult,
    item_id: str,
) -> Item | None:
    build = table.get(kind or "")
    if build is None or result.kind != "json":
        return None
    try:
        return build(result, item_id)
    except (*UNREADABLE, KeyError):
        return None


def _fields(value: Raw) -> _Fields:
    return _fields_decoder.decode(value)


def _input(call: ModelToolCall) -> _Fields:
    return {} if call.input is UNSET else _fields(call.input)


def _value(result: ModelToolResult) -> _Fields:
    return {} if result.value is UNSET else _fields(result.value)


def _renamed(fields: _Fields, names: Mapping[str, str]) -> Item:
    return {api: fields[name] for name, api in names.items() if name in fields}


# -- calls


def _tool_search(call: ModelToolCall, options: PartOptions) -> Item:
    fields = _input(call)
    call_id = msgspec.json.decode(fields.get("call_id", b"null"))
    return {
        "type": "tool_search_call",
        "id": options.item_id or call.call_id,
        "execution": "server" if call_id is None else "client",
        "call_id": call_id,
        "status": "completed",
        "arguments": fields["arguments"],
    }


def _program(call: ModelToolCall, options: PartOptions) -> Item:
    fields = _input(call)
    return {
        "type": "program",
        "id": options.item_id or call.call_id,
        "call_id": call.call_id,
        "code": fields["code"],
        "fingerprint": fields["fingerprint"],
    }


def _local_shell(call: ModelToolCall, options: PartOptions) -> Item:
    action = _fields(_input(call)["action"])
    return {
        "type": "local_shell_call",
        "call_id": call.call_id,
        **_own_id(options),
        "action": {"type": "exec", **_renamed(action, _LOCAL_SHELL)},
    }


def _shell(call: ModelToolCall, options: PartOptions) -> Item:
    return {
        "type": "shell_call",
        "call_id": call.call_id,
        **_own_id(options),
        "status": "completed",
        "action": _renamed(_fields(_input(call)["action"]), _SHELL),
    }


def _apply_patch(call: ModelToolCall, options: PartOptions) -> Item:
    fields = _input(call)
    return {
        "type": "apply_patch_call",
        "call_id": fields["callId"],
        **_own_id(options),
        "status": "completed",
        "operation": fields["operation"],
    }


def _computer(call: ModelToolCall, options: PartOptions) -> Item:
    fields = _input(call)
    api_names = {"scrollX": "scroll_x", "scrollY": "scroll_y"}
    actions = _list_decoder.decode(fields["actions"])
    return {
        "type": "computer_call",
        "call_id": call.call_id,
        **_own_id(options),
        "status": fields["status"],
        "actions": [
            {api_names.get(name, name): value for name, value in action.items()}
            for action in actions
        ],
        "pending_safety_checks": fields["pendingSafetyChecks"],
    }


def _custom(call: ModelToolCall, options: PartOptions) -> Item:
    text = "" if call.input is UNSET else stringified(call.input)
    item: Item = {
        "type": "custom_tool_call",
        "call_id": call.call_id,
        "name": call.name,
        "input": msgspec.json.decode(text) if text.startswith('"') else text,
        **_own_id(options),
    }
    if options.is_async is not None:
        item["async"] = options.is_async
    return item


def _own_id(options: PartOptions) -> Item:
    return {} if options.item_id is None else {"id": options.item_id}


_CALLS: Final[dict[str, Callable[[ModelToolCall, PartOptions], Item]]] = {
    "tool_search": _tool_search,
    "programmatic_tool_calling": _program,
    "local_shell": _local_shell,
    "shell": _shell,
    "apply_patch": _apply_patch,
    "computer": _computer,
    "custom": _custom,
}


# -- results


def _web_search_result(result: ModelToolResult, item_id: str) -> Item:
    fields = _value(result)
    action = _fields(fields["action"])
    api_type, names = _WEB_ACTIONS[msgspec.json.decode(action["type"])]
    rebuilt: Item = {"type": api_type, **_renamed(action, dict(zip(names, names, strict=True)))}
    if api_type == "search" and "sources" in fields:
        rebuilt["sources"] = fields["sources"]
    return {
        "type": "web_search_call",
        "id": item_id,
        "status": "completed",
        "action": rebuilt,
    }


def _hosted_search_result(result: ModelToolResult, item_id: str) -> Item:
    return {
        "type": "tool_search_output",
        "id": item_id,
        "execution": "server",
        "call_id": None,
        "status": "completed",
        "tools": _value(result)["tools"],
    }


def _client_search_result(result: ModelToolResult, item_id: str) -> Item:
    return {
        "type": "tool_search_output",
        "execution": "client",
        "call_id": result.call_id,
        "status": "completed",
        "tools": _value(result)["tools"],
    }


def _program_result(result: ModelToolResult, item_id: str) -> Item:
    fields = _value(result)
    return {
        "type": "program_output",
        "id": item_id,
        "call_id": result.call_id,
        "result": fields["result"],
        "status": fields["status"],
    }


def _shell_result(result: ModelToolResult, item_id: str) -> Item:
    fields = _value(result)
    return {
        "type": "shell_call_output",
        "call_id": result.call_id,
        **_renamed(fields, {"maxOutputLength": "max_output_length"}),
        "output": [
            {
                "stdout": each["stdout"],
                "stderr": each["stderr"],
                "outcome": _renamed(
                    _fields(each["outcome"]), {"type": "type", "exitCode": "exit_code"}
                ),
            }
            for each in _list_decoder.decode(fields["output"])
        ],
    }


def _local_shell_result(result: ModelToolResult, item_id: str) -> Item:
    return {
        "type": "local_shell_call_output",
        "call_id": result.call_id,
        "output": _value(result)["output"],
    }


def _patch_result(result: ModelToolResult, item_id: str) -> Item:
    fields = _value(result)
    return {
        "type": "apply_patch_call_output",
        "call_id": result.call_id,
        "status": fields["status"],
        **_renamed(fields, {"output": "output"}),
    }


def _computer_result(result: ModelToolResult, item_id: str) -> Item:
    fields = _value(result)
    return {
        "type": "computer_call_output",
        "call_id": result.call_id,
        "output": {
            "type": "computer_screenshot",
            **_renamed(_fields(fields["output"]), _SCREENSHOT),
        },
        **_renamed(fields, {"acknowledgedSafetyChecks": "acknowledged_safety_checks"}),
    }


_HOSTED_RESULTS: Final[dict[str, Callable[[ModelToolResult, str], Item]]] = {
    "web_search": _web_search_result,
    "web_search_preview": _web_search_result,
    "tool_search": _hosted_search_result,
    "programmatic_tool_calling": _program_result,
    "shell": _shell_result,
}

_CLIENT_RESULTS: Final[dict[str, Callable[[ModelToolResult, str], Item]]] = {
    "tool_search": _client_search_result,
    "local_shell": _local_shell_result,
    "shell": _shell_result,
    "apply_patch": _patch_result,
    "computer": _computer_result,
}
