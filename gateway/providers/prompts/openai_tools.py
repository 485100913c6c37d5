"""The tools of a request to OpenAI, and what their names mean in its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gateway.providers.translate.openai_responses_step import Tooling
from gateway.providers.translate.tool_calls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.providers.base import ToolSpec


class _Environment(Struct):
    type: str = ""


class _Arguments(Struct):
    environment: _Environment | None = None


_HOSTED_ENVIRONMENTS = frozenset({"container_auto", "container_reference"})
_arguments_decoder = msgspec.json.Decoder(_Arguments)


def declared_calls(tools: Sequence[ToolSpec]) -> ToolCalls:
    """Return the account of a step's calls, which knows its tools."""
    return ToolCalls(tool.name for tool in tools)


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


def _is_hosted_shell(tool: ToolSpec) -> bool:
    if tool.provider_type != "shell" or tool.provider_args is None:
        return False
    environment = _arguments_decoder.decode(tool.provider_args).environment
    return environment is not None and environment.type in _HOSTED_ENVIRONMENTS
