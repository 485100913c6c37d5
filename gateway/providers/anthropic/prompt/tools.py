"""The tools of a request to the Messages API, and which of them must be called.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-prepare-tools.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.providers.anthropic.stream.translator import JSON_TOOL
from midstream.providers.anthropic.tool_names import TOOL_BETAS, api_name, api_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from midstream.providers.anthropic.prompt.options import CacheMarks
    from midstream.providers.base import ToolSpec

_Json = dict[str, object]

_STRUCTURED_BETA: Final = "structured-outputs-2025-11-13"
_ADVANCED_BETA: Final = "advanced-tool-use-2025-11-20"


class RequestTools:
    """Declares tools.

    Args:
        forces: the model takes a tool choice that demands a call.
        constrains: the model can be held to a schema, an input's and an answer's.
        marks: the cache marks of the request.

    Attributes:
        betas: those that the tools need.
    """

    def __init__(self, *, forces: bool, constrains: bool, marks: CacheMarks) -> None:
        """Begin without any."""
        self._forces = forces
        self._constrains = constrains
        self._marks = marks
        self.betas: set[str] = set()

    def fields(
        self, tools: Sequence[ToolSpec], choice: str | None, schema: Mapping[str, Any] | None
    ) -> _Json:
        """Return `tools` and `tool_choice`.

        Args:
            tools: of the agent.
            choice: `auto`, `required`, `none`, a tool's name, or None.
            schema: of an answer that is asked for by a tool: it is the last, and must be called.
        """
        forces = self._forces
        named = choice if choice not in (None, "auto", "required", "none") else None
        declared = list(tools)
        if named is not None and (schema is not None or not forces):
            declared = [tool for tool in declared if tool.name == named]
        if choice == "none" and schema is not None:
            declared = []
        functions = any(tool.provider_type is None for tool in declared)
        if functions and self._constrains and schema is None:
            self.betas.add(_STRUCTURED_BETA)
        converted = [self._declared(tool) for tool in declared]
        if schema is not None:
            kind = "any" if forces else "auto"
            return {
                "tools": [*converted, _json_tool(schema)],
                "tool_choice": {"type": kind, "disable_parallel_tool_use": True},
            }
        if not converted:
            return {}
        if named is not None and forces:
            return {"tools": converted, "tool_choice": {"type": "tool", "name": named}}
        kind = {"required": "any" if forces else "auto", "none": "none"}.get(choice or "", "auto")
        return {"tools": converted, "tool_choice": {"type": kind}}

    def _declared(self, tool: ToolSpec) -> _Json:
        return self._function(tool) if tool.provider_type is None else self._hosted(tool)

    def _function(self, tool: ToolSpec) -> _Json:
        options = tool.options
        function: _Json = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        function["input_schema"] = msgspec.json.decode(tool.input_schema)
        function |= self._marks.field(options.cache_control)
        if options.eager_input_streaming is not False:
            function["eager_input_streaming"] = True
        if self._constrains and options.strict is not None:
            function["strict"] = options.strict
        if options.defer_loading is not None:
            function["defer_loading"] = options.defer_loading
        if options.allowed_callers is not None:
            function["allowed_callers"] = list(options.allowed_callers)
        if options.input_examples is not None:
            function["input_examples"] = list(options.input_examples)
        if options.allowed_callers is not None or options.input_examples is not None:
            self.betas.add(_ADVANCED_BETA)
        return function

    def _hosted(self, tool: ToolSpec) -> _Json:
        kind = api_type(tool.provider_type or "")
        if kind in TOOL_BETAS:
            self.betas.add(TOOL_BETAS[kind])
        arguments = {} if tool.provider_args is None else msgspec.json.decode(tool.provider_args)
        if "_toolset_" in kind or kind == "mcp_toolset":  # their members have the names
            return {"type": kind, **arguments}
        return {"type": kind, "name": api_name(kind), **arguments}


def _json_tool(schema: Mapping[str, Any]) -> _Json:
    return {
        "name": JSON_TOOL,
        "description": "Respond with a JSON object.",
        "input_schema": schema,
        "eager_input_streaming": True,
    }
