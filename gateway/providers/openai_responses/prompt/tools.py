"""The tools of a request to OpenAI, and what their names mean in its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Struct

from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import ToolPart, parse_part
from midstream.providers.openai.schema import normalized_schema
from midstream.providers.openai_responses.stream.step_state import Tooling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from midstream.providers.base import ToolSpec
from midstream.protocol.messages import UIMessage


class _Environment(Struct):
    type: str = ""


class _ToolArguments(Struct):
    environment: _Environment | None = None


CLIENT_KINDS: Final = frozenset({"local_shell", "shell", "apply_patch", "computer", "custom"})
"""The provider's tools that the client executes."""

REBUILT_KINDS: Final = CLIENT_KINDS | {"tool_search", "programmatic_tool_calling"}
"""Tools whose calls the provider stores under the item's id."""

ANSWERED_KINDS: Final = CLIENT_KINDS - {"custom"} | {"tool_search"}
"""Tools whose results have items of their own."""

DEFERRING_KINDS: Final = frozenset({"programmatic_tool_calling"})
"""Tools of the provider whose result may come in a later response than their call."""

REBUILT_HOSTED_KINDS: Final = frozenset({"shell", "tool_search", "programmatic_tool_calling"})
"""Tools that the provider executes, and whose items it takes back without having stored them."""

TOOL_CHOICES: Final = ("auto", "none", "required")

_USUAL_NAMES: Final = ("web_search", "web_search_preview", "programmatic_tool_calling")

# Fields that the API requires and the AI SDK's tools omit.
_DEFAULT_ARGUMENTS: Final[dict[str, dict[str, object]]] = {
    "code_interpreter": {"container": {"type": "auto"}},
    "mcp": {"require_approval": "never"},
}
_HOSTED_ENVIRONMENTS = frozenset({"container_auto", "container_reference"})
_arguments_decoder = msgspec.json.Decoder(_ToolArguments)


class DeclaredTools:
    """The tools of a request, by the names that clients know."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        """Take the request's tools."""
        self._kinds = {tool.name: tool.provider_type for tool in tools}

    def kind_of(self, name: str) -> str | None:
        """Return which of the provider's tools a name means; None for a function.

        A search or a program that is no longer declared is known by its usual name.
        """
        return self._kinds.get(name) or (name if name in _USUAL_NAMES else None)


def request_tools(tools: Sequence[ToolSpec]) -> list[dict[str, object]]:
    """Return the tools as a Responses request declares them."""
    return [
        _function(tool) if tool.provider_type is None else _provider_tool(tool) for tool in tools
    ]


def request_tool_choice(name: str | None, tools: DeclaredTools) -> object:
    """Return the tool choice: a mode, or the tool that must be called."""
    if name is None or name in TOOL_CHOICES:
        return name or "auto"
    kind = tools.kind_of(name)
    if kind is None or kind == "custom":
        return {"type": kind or "function", "name": name}
    return {"type": kind}


def _function(tool: ToolSpec) -> dict[str, object]:
    function: dict[str, object] = {
        "type": "function",
        "name": tool.name,
        "parameters": normalized_schema(tool.input_schema),
        "strict": tool.options.strict or False,
    }
    if tool.description:
        function["description"] = tool.description
    if tool.options.defer_loading is not None:
        function["defer_loading"] = tool.options.defer_loading
    if tool.options.allowed_callers is not None:
        function["allowed_callers"] = tool.options.allowed_callers
    return function


def _provider_tool(tool: ToolSpec) -> dict[str, object]:
    arguments: dict[str, object] = {}
    if tool.provider_args is not None:
        arguments = msgspec.json.decode(tool.provider_args, type=dict[str, object])
    name = {"name": tool.name} if tool.provider_type == "custom" else {}
    return {
        "type": tool.provider_type,
        **_DEFAULT_ARGUMENTS.get(tool.provider_type or "", {}),
        **name,
        **arguments,
    }


def tooling(tools: Sequence[ToolSpec], approved: Mapping[str, str] | None = None) -> Tooling:
    """Return what the answer's translator must know of the tools.

    Args:
        tools: as declared in the request.
        approved: tool call ids by approval request id.
    """
    return Tooling(
        # Custom tools go by their own names: there may be several.
        names={
            tool.provider_type: tool.name
            for tool in tools
            if tool.provider_type is not None and tool.provider_type != "custom"
        },
        functions=frozenset(tool.name for tool in tools if tool.provider_type is None),
        hosts_shell=any(_is_hosted_shell(tool) for tool in tools),
        approved=approved or {},
    )


def answered_approvals(history: Sequence[UIMessage]) -> dict[str, str]:
    """Return tool call ids by approval id, of the calls that a person was asked about.

    A call that was approved then runs under the id that it was shown with.
    """
    calls: dict[str, str] = {}
    for message in history:
        if message.role != "assistant":
            continue
        for raw in message.parts:
            if b'"approval"' not in bytes(raw):
                continue
            try:
                part = parse_part(raw)
            except MalformedFrameError:
                continue
            if isinstance(part, ToolPart) and part.approval is not UNSET:
                calls[part.approval.id] = part.tool_call_id
    return calls


def _is_hosted_shell(tool: ToolSpec) -> bool:
    if tool.provider_type != "shell" or tool.provider_args is None:
        return False
    environment = _arguments_decoder.decode(tool.provider_args).environment
    return environment is not None and environment.type in _HOSTED_ENVIRONMENTS
