"""An agent's tools, made from its settings."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest
from midstream.agents.tools.api import tool_options
from midstream.agents.tools.configured import make_tools
from midstream.errors import SettingsError
from midstream.ids import ANONYMOUS, RunId, SessionId
from midstream.providers.base import PendingCall, ToolOptions
from midstream.settings.agents import (
    AgentSettings,
    ClientToolSettings,
    ProviderToolSettings,
    ToolOptionSettings,
)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of an operator's own."""
    made = ModuleType("agents_of_mine")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.nothing = 7  # type: ignore[attr-defined]
    return made


def add(one: int, two: int) -> int:
    """Add two numbers."""
    return one + two


def is_large(one: int) -> bool:
    return one > 10


@pytest.fixture
def tools_module(module: ModuleType) -> str:
    """A module with tools; returns its name."""
    module.add = add  # type: ignore[attr-defined]
    module.is_large = is_large  # type: ignore[attr-defined]
    return module.__name__


def with_tools(**fields: Any) -> AgentSettings:
    return AgentSettings(provider="simulator", model="m", **fields)


def test_agent_has_the_tools_of_its_settings(tools_module: str) -> None:
    """The gateway's tools first, then the client's, then the provider's."""
    agent = with_tools(
        tools=(f"{tools_module}:add",),
        needs_approval={"add": f"{tools_module}:is_large"},
        client_tools={"ask": ClientToolSettings(description="Ask.")},
        provider_tools={"search": ProviderToolSettings(type="web_search", args={"max_uses": 2})},
    )
    tools = make_tools("a", agent)
    ours, client, provider = tools.specs
    assert (ours.name, ours.description, tools.executes("add")) == ("add", "Add two numbers.", True)
    assert (client.name, client.description, tools.executes("ask")) == ("ask", "Ask.", False)
    assert b'"object"' in bytes(client.input_schema)
    assert (provider.name, provider.provider_type) == ("search", "web_search")
    assert provider.provider_args is not None
    assert bytes(provider.provider_args) == b'{"max_uses":2}'


def test_tool_has_the_options_of_its_settings_over_its_own(module: ModuleType) -> None:
    """The function decides the options that the settings leave unset."""
    module.add = tool_options(strict=True, defer_loading=True)(lambda one: one)  # type: ignore[attr-defined]
    module.add.__name__ = "add"
    agent = with_tools(
        tools=(f"{module.__name__}:add",),
        tool_options={"add": ToolOptionSettings(defer_loading=False)},
        client_tools={"ask": ClientToolSettings(allowed_callers=("direct",))},
    )
    ours, client = make_tools("a", agent).specs
    assert ours.options == ToolOptions(strict=True, defer_loading=False)
    assert client.options == ToolOptions(allowed_callers=("direct",))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": ("{}:gone",)}, "gone"),
        ({"tools": ("{}:nothing",)}, "nothing"),
        ({"tools": ("{}",)}, "package.module:name"),
        ({"tools": ("{}:add", "{}:add")}, "add"),
        ({"tools": ("{}:add",), "client_tools": {"add": ClientToolSettings()}}, "add"),
        ({"tools": ("{}:add",), "needs_approval": {"sub": True}}, "sub"),
        ({"tools": ("{}:add",), "needs_approval": {"add": "{}:gone"}}, "gone"),
        ({"client_tools": {"ask": ClientToolSettings()}, "needs_approval": {"ask": True}}, "ask"),
        ({"tools": ("{}:add",), "tool_options": {"sub": ToolOptionSettings()}}, "sub"),
    ],
)
def test_tool_that_cannot_be_made_is_a_wrong_setting(
    fields: dict[str, Any], named: str, tools_module: str
) -> None:
    """The sentence names the agent, and what is wrong."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(tools_module)
        if isinstance(value, tuple):
            return tuple(map(filled, value))
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return value

    with pytest.raises(SettingsError) as refused:
        make_tools("mine", with_tools(**filled(fields)))
    assert "mine" in refused.value.message
    assert named in refused.value.message


class _Transfer:
    """A tool that is an object."""

    def __call__(self, amount: int) -> int:
        """Send money."""
        return amount


def test_tool_that_is_an_object_asks_as_its_settings_say(module: ModuleType) -> None:
    """Its name is its class's, for models and for `needs_approval` alike."""
    module.transfer = _Transfer()  # type: ignore[attr-defined]
    settings = AgentSettings(
        provider="simulator",
        model="m",
        tools=("agents_of_mine:transfer",),
        needs_approval={"_Transfer": True},
    )
    tools = make_tools("a", settings)
    request = AgentRequest(
        session_id=SessionId("s"),
        run_id=RunId("r"),
        message_id="a",
        user=ANONYMOUS,
        history=[],
        model=None,
        body=Raw(b"{}"),
        new_id=lambda: "approval_1",
    )
    call = PendingCall(id="c", name="_Transfer", input=Raw(b'{"amount":1}'))
    (asked,) = asyncio.run(tools.ask([call], request))
    assert asked.tool_call_id == "c"
