"""Midstream: durable sessions for AI SDK frontends.

    from midstream import Agent, AgentError, Run, create_app

Names are imported when they are asked for: `import midstream` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from midstream.agents.python.agent import Agent
    from midstream.agents.python.run import Run
    from midstream.agents.tools.api import ToolContext, ToolError, ToolFile, ToolOutput
    from midstream.answer import ToolCall
    from midstream.app import Gateway, create_app
    from midstream.errors import AgentError
    from midstream.version import VERSION

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

_HOMES: Final = {
    "VERSION": "midstream.version",
    "Agent": "midstream.agents.python.agent",
    "AgentError": "midstream.errors",
    "Gateway": "midstream.app",
    "Run": "midstream.agents.python.run",
    "ToolCall": "midstream.answer",
    "ToolContext": "midstream.agents.tools.api",
    "ToolError": "midstream.agents.tools.api",
    "ToolFile": "midstream.agents.tools.api",
    "ToolOutput": "midstream.agents.tools.api",
    "create_app": "midstream.app",
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
