"""An agent's tools, made from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, structs

from midstream.agents.imports import import_object, unusable
from midstream.agents.tools.executor import Tools
from midstream.agents.tools.python_tool import PythonTool, name_of
from midstream.errors import SettingsError
from midstream.providers.base import ToolOptions, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from midstream.settings.agents import (
        AgentSettings,
        ClientToolSettings,
        ProviderToolSettings,
        ToolOptionSettings,
    )


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
    for setting in ("needs_approval", "tool_options"):
        for unknown in getattr(agent, setting).keys() - {tool.name for tool in python}:
            raise SettingsError(
                f"unable to use the setting `agents.{name}.{setting}.{unknown}`; it must name "
                "one of the agent's `tools`"
            )
    return tools


def _python_tool(agent_name: str, path: str, agent: AgentSettings) -> PythonTool:
    used_as = f"a tool of the agent `{agent_name}`"
    function = _import_function(path, used_as)
    tool_name = name_of(function)
    question = agent.needs_approval.get(tool_name, False)
    try:
        return PythonTool(
            function,
            needs_approval=(
                _import_function(question, used_as) if isinstance(question, str) else question
            ),
            limit_s=agent.tool_timeout_s,
            options=_options(agent.tool_options.get(tool_name)),
        )
    except TypeError as error:
        raise unusable(path, used_as, str(error)) from error


def _import_function(path: str, used_as: str) -> Callable[..., Any]:
    found = import_object(path, used_as)
    if not callable(found):
        raise unusable(path, used_as, "it must be a function")
    return found


def _client_tool(name: str, tool: ClientToolSettings) -> ToolSpec:
    spec = ToolSpec(name=name, description=tool.description, options=_options(tool))
    if not tool.input_schema:
        return spec
    return structs.replace(spec, input_schema=_raw(tool.input_schema))


def _provider_tool(name: str, tool: ProviderToolSettings) -> ToolSpec:
    return ToolSpec(name=name, provider_type=tool.type, provider_args=_raw(tool.args))


def _options(settings: ToolOptionSettings | None) -> ToolOptions:
    names = ToolOptions.__struct_fields__
    return ToolOptions(**{name: getattr(settings, name, None) for name in names})


def _raw(value: Mapping[str, object]) -> Raw:
    return Raw(msgspec.json.encode(value))
