"""Tools of the demo's simulated models: one that its page answers, one that needs approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from midstream.agents.tools.configured import make_tools
from midstream.providers.base import ToolSpec

if TYPE_CHECKING:
    from midstream.agents.tools.executor import Tools
    from midstream.settings.agents import AgentSettings

ANSWERED_BY_THE_PAGE: Final = (
    ToolSpec(
        name="get_weather",
        description="The weather in a city, as the person who looks at the demo tells it.",
        input_schema=Raw(
            b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
        ),
    ),
)


def send_postcard(city: str, text: str = "") -> dict[str, object]:
    """Send a postcard. Nothing leaves this machine.

    Args:
        city: where to.
        text: what it says.
    """
    return {"sent": True, "to": city, "text": text}


def make_demo_tools(name: str, agent: AgentSettings) -> Tools:
    """Return an agent's tools and the demo's.

    Raises:
        SettingsError: one of its own cannot be made, or has the name of one of the demo's.
    """
    extended = msgspec.structs.replace(
        agent,
        tools=(*agent.tools, f"{__name__}:{send_postcard.__name__}"),
        needs_approval={**agent.needs_approval, send_postcard.__name__: True},
    )
    return make_tools(name, extended, ANSWERED_BY_THE_PAGE)
