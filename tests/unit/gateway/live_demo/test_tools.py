"""The demo's tools: one that the page answers, one that asks before it acts."""

from __future__ import annotations

import pytest

from midstream.errors import SettingsError
from midstream.live_demo.tools import make_demo_tools, send_postcard
from midstream.settings.agents import AgentSettings


def test_demo_offers_its_tools_beside_the_agents_own() -> None:
    """A simulated agent keeps what its settings name."""
    settings = AgentSettings(provider="simulator", model="sim", tools=("tests.support.tools:add",))

    tools = make_demo_tools("simulator", settings)

    assert [spec.name for spec in tools.specs] == ["add", "send_postcard", "get_weather"]


def test_agent_with_a_tool_of_the_demos_name_is_refused() -> None:
    """Two tools of one name would leave it to chance which is called."""
    settings = AgentSettings(
        provider="simulator", model="sim", tools=("midstream.live_demo.tools:send_postcard",)
    )

    with pytest.raises(SettingsError, match="two tools of the name `send_postcard`"):
        make_demo_tools("simulator", settings)


def test_postcard_says_what_would_have_been_sent() -> None:
    """The model reads it as the tool's result."""
    assert send_postcard("Lisbon", "Hello") == {"sent": True, "to": "Lisbon", "text": "Hello"}
