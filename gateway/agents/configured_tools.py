"""An agent's tools, made from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from gateway.agents.imports import import_object, unusable
from gateway.agents.python_tool import PythonTool, name_of
from gateway.agents.tools import Tools
from gateway.errors import SettingsError
from gateway.providers.base import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from gateway.settings import AgentSettings, ClientToolSettings, ProviderToolSettings


def make_tools(name: str, agent: AgentSettings, others: Sequence[ToolSpec] = ()) -> Tools:
    """Return the tools of the agent of this name.

    Args:
        others: tools that the client executes, besides those in the settings.

    Raises:
        SettingsError: one of them cannot be made, or two have the same name.
    """
    python = [_python_tool(name, path, agent) for path in agent.tools]
    declared = [
        *(_client_tool(*item) for item in agent.client_tools.items()),
        *(_provider_tool(*item) for item in agent.provider_tools.items()),
    ]
    tools = Tools(python, [*declared, *others])
    names = [spec.name for spec in tools.specs]
    for twice in {name for name in names if names.count(name) > 1}:
        raise SettingsError(
            f"unable to use the agent `{name}`; it has two tools of the name `{twice}`"
        )
    for unknown in agent.needs_approval.keys() - {tool.name for tool in python}:
        raise SettingsError(
            f"unable to use the setting `agents.{name}.needs_approval.{unknown}`; it must name "
            "one of the agent's `tools`"
        )
    return tools


def _python_tool(agent_name: str, path: str, agent: AgentSettings) -> PythonTool:
    used_as = f"a tool of the agent `{agent_name}`"
    function = _import_function(path, used_as)
    question = agent.needs_approval.get(name_of(function), False)
    try:
        return PythonTool(
            function,
            needs_approval=(
                _import_function(question, used_as) if isinstance(question, str) else question
            ),
            limit_s=agent.tool_timeout_s,
        )
    except TypeError as error:
        raise unusable(path, used_as, str(error)) from error


def _import_function(path: str, used_as: str) -> Callable[..., Any]:
    found = import_object(path, used_as)
    if not callable(found):
        raise unusable(path, used_as, "it must be a function")
    return found


def _client_tool(name: str, tool: ClientToolSettings) -> ToolSpec:
    if not tool.input_schema:
        return ToolSpec(name=name, description=tool.description)
    return ToolSpec(name=name, description=tool.description, input_schema=_raw(tool.input_schema))


def _provider_tool(name: str, tool: ProviderToolSettings) -> ToolSpec:
    return ToolSpec(name=name, provider_type=tool.type, provider_args=_raw(tool.args))


def _raw(value: Mapping[str, object]) -> Raw:
    return Raw(msgspec.json.encode(value))
