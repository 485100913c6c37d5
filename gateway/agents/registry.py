"""Registry of agents by name, with the default for requests that name none."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from msgspec import Struct

from midstream.agents.base import AgentOffer, AgentTraits, AnyAgent
from midstream.agents.imports import import_object, unusable
from midstream.agents.python.agent import Agent
from midstream.errors import AgentNotFoundError, SettingsError


class _Registered(Struct, frozen=True):
    """An agent, and the models that a client may request; None: any, the agent decides."""

    agent: AnyAgent
    models: Sequence[str] | None


class Agents:
    """The agents of this gateway, by name. Implements `AgentFinder`."""

    def __init__(self, default: str = "") -> None:
        self._entries: dict[str, _Registered] = {}
        self._default = default

    def add(self, agent: AnyAgent, models: Sequence[str] | None = None) -> None:
        """Add an agent; the first one is the default, unless the settings name another.

        Raises:
            SettingsError: another one has its name.
        """
        if not isinstance(agent.traits, AgentTraits):
            raise SettingsError(
                f"unable to use the agent `{agent.name}`; its `traits` must be an AgentTraits "
                "(midstream.agents.base)"
            )
        if agent.name in self._entries:
            raise SettingsError(
                f"unable to use two agents of the name `{agent.name}`; rename one of them"
            )
        self._entries[agent.name] = _Registered(agent, models)
        self._default = self._default or agent.name

    def check_default(self) -> None:
        """Raise SettingsError if the default agent is not registered."""
        if self._default and self._default not in self._entries:
            raise SettingsError(
                "unable to use the setting `default_agent`; there is no agent of the name "
                f"`{self._default}`"
            )

    def offers(self) -> list[AgentOffer]:
        """Return the agents that clients may request, the default first."""
        names = sorted(self._entries, key=lambda name: name != self._default)
        return [AgentOffer(name=name, models=self._entries[name].models or ()) for name in names]

    def find(self, name: str | None, model: str | None) -> AnyAgent:
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


def import_agent(name: str, path: str) -> Agent:
    """Return the agent at `package.module:name`: an `Agent`, or its function.

    Raises:
        SettingsError: it cannot be imported, or is no agent.
    """
    used_as = f"the agent `{name}`"
    found = import_object(path, used_as)
    if isinstance(found, Agent):
        # A copy: what a class of the operator's own can do besides is kept.
        renamed = copy(found)
        renamed.name = name
        return renamed
    if not callable(found):
        raise unusable(path, used_as, "it must be an Agent, or an `async def` function of a Run")
    try:
        return Agent(name, found)
    except SettingsError as error:
        raise SettingsError(f"{error.message} ({path})") from None
