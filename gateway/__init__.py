"""Midstream: durable sessions for AI SDK frontends.

    from gateway import Agent, AgentError, Run, create_app

Names are imported when they are asked for: `import gateway` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.agents.agent import Agent
    from gateway.agents.run import Run
    from gateway.agents.tool_api import ToolContext, ToolError, ToolFile, ToolOutput
    from gateway.answer import ToolCall
    from gateway.app import Gateway, create_app
    from gateway.errors import AgentError

__all__ = [
    "VERSION",
    "Agent",
    "AgentError",
    "Gateway",
    "Run",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolFile",
    "ToolOutput",
    "create_app",
]

VERSION: Final = "0.2.0"

_HOMES: Final = {
    "Agent": "gateway.agents.agent",
    "AgentError": "gateway.errors",
    "Gateway": "gateway.app",
    "Run": "gateway.agents.run",
    "ToolCall": "gateway.answer",
    "ToolContext": "gateway.agents.tool_api",
    "ToolError": "gateway.agents.tool_api",
    "ToolFile": "gateway.agents.tool_api",
    "ToolOutput": "gateway.agents.tool_api",
    "create_app": "gateway.app",
}
"""Public name -> its module."""


def __getattr__(name: str) -> Any:
    """Import a public name."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *_HOMES})
