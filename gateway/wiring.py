"""Agents, made from their settings: who answers a request that names one, or none."""

from __future__ import annotations

import importlib
import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from gateway.agents.base import Agent
from gateway.errors import AgentNotFoundError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from gateway.agents.base import AgentRequest
    from gateway.settings import Settings
    from protocol.chunks import AnyChunk

    ChunkGenerator = Callable[[AgentRequest], AsyncIterator[AnyChunk | Sequence[AnyChunk]]]


class _Entry(Struct, frozen=True):
    """An agent, and the models that a client may ask it for; None: any, it decides."""

    agent: Agent
    models: frozenset[str] | None


class Agents:
    """The agents of this gateway, by name. See `sessions.AgentFinder`."""

    def __init__(self, default: str = "") -> None:
        self._entries: dict[str, _Entry] = {}
        self._default = default

    def add(self, agent: Agent, models: frozenset[str] | None = None) -> None:
        """Add an agent; the first one is the default, unless the settings name another."""
        self._entries[agent.name] = _Entry(agent, models)
        self._default = self._default or agent.name

    def find(self, name: str | None, model: str | None) -> Agent:
        """Return the agent for a request.

        Raises:
            AgentNotFoundError: no such agent, or not with that model.
        """
        entry = self._entries.get(name or self._default)
        if entry is None:
            raise AgentNotFoundError(
                "unable to find this agent; it is not configured"
                if name
                else "unable to answer; no agent is configured"
            )
        if model is not None and entry.models is not None and model not in entry.models:
            raise AgentNotFoundError("unable to use this model; the agent does not offer it")
        return entry.agent


class FunctionAgent:
    """An agent that is an async generator function of chunks, or of lists of chunks."""

    def __init__(self, name: str, function: ChunkGenerator) -> None:
        self.name = name
        self._function = function

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the function's chunks; a single one as a list of one."""
        async for chunks in self._function(request):
            yield chunks if isinstance(chunks, (list, tuple)) else [cast("AnyChunk", chunks)]


def import_agent(name: str, path: str) -> Agent:
    """Return the agent at `package.module:name`.

    Raises:
        SettingsError: it cannot be imported, or is no agent.
    """
    module, colon, attribute = path.partition(":")
    if not colon:
        raise _unusable(name, path, "it must be of the form `package.module:name`")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise _unusable(name, path, str(error)) from error
    except AttributeError:
        raise _unusable(name, path, f"{module} has no `{attribute}`") from None
    if inspect.isasyncgenfunction(found):
        return FunctionAgent(name, found)
    if hasattr(found, "stream") and hasattr(found, "name"):
        return cast("Agent", found)
    raise _unusable(name, path, "it must be an async generator function, or have `stream`")


@asynccontextmanager
async def open_agents(settings: Settings, given: Sequence[Agent] = ()) -> AsyncIterator[Agents]:
    """Make all agents, and close what they hold at the end.

    Args:
        given: agents in Python, before the configured ones.

    Raises:
        SettingsError: one of them cannot be made.
    """
    agents = Agents(settings.default_agent)
    for agent in given:
        agents.add(agent)
    for name, configured in settings.agents.items():
        if configured.python:
            agents.add(import_agent(name, configured.python))
    yield agents


def _unusable(name: str, path: str, problem: str) -> SettingsError:
    return SettingsError(f"unable to use the agent `{name}` ({path}); {problem}")
