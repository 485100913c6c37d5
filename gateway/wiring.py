"""Agents, made from their settings: who answers a request that names one, or none."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from gateway.agents.base import Agent, AgentOffer
from gateway.agents.configured_tools import make_tools
from gateway.agents.demo_tools import make_demo_tools
from gateway.agents.imports import import_object, unusable
from gateway.agents.model_agent import ModelAgent, ModelAgentConfig
from gateway.errors import AgentNotFoundError, ProviderError
from gateway.providers.anthropic import AnthropicProvider
from gateway.providers.http import TimeLimits
from gateway.providers.openai_chat import OpenAIChatProvider
from gateway.providers.openai_responses import OpenAIResponsesProvider
from gateway.providers.simulator import MODELS, create_simulator
from gateway.providers.simulator.server import serve_simulator
from gateway.settings import (
    PROVIDER_KINDS,
    SIMULATED_KINDS,
    AgentSettings,
    ProviderSettings,
    api_key_variable,
    provider_kind,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from gateway.agents.base import AgentRequest
    from gateway.providers.base import Provider
    from gateway.settings import Settings
    from protocol.chunks import AnyChunk

    ChunkGenerator = Callable[[AgentRequest], AsyncIterator[AnyChunk | Sequence[AnyChunk]]]

logger = logging.getLogger(__name__)

DEFAULT_MODELS: Final = {
    "anthropic": ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"),
    "openai": ("gpt-5.4", "gpt-5.4-mini"),
}
"""Provider -> models of its agent where none is configured, the default first."""

SIMULATED_KEY: Final = "simulated"

_MAKERS: Final[Mapping[str, Callable[..., Provider]]] = {
    "anthropic": AnthropicProvider,
    "openai": OpenAIResponsesProvider,
    "openai-chat": OpenAIChatProvider,
}


class _Entry(Struct, frozen=True):
    """An agent, and the models that a client may ask it for; None: any, it decides."""

    agent: Agent
    models: Sequence[str] | None


class Agents:
    """The agents of this gateway, by name. See `sessions.AgentFinder`."""

    def __init__(self, default: str = "") -> None:
        self._entries: dict[str, _Entry] = {}
        self._default = default

    def add(self, agent: Agent, models: Sequence[str] | None = None) -> None:
        """Add an agent; the first one is the default, unless the settings name another."""
        self._entries[agent.name] = _Entry(agent, models)
        self._default = self._default or agent.name

    def offers(self) -> list[AgentOffer]:
        """Return what clients may ask for, the default agent first."""
        names = sorted(self._entries, key=lambda name: name != self._default)
        return [AgentOffer(name=name, models=self._entries[name].models or ()) for name in names]

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
    used_as = f"the agent `{name}`"
    found = import_object(path, used_as)
    if inspect.isasyncgenfunction(found):
        return FunctionAgent(name, found)
    if hasattr(found, "stream") and hasattr(found, "name"):
        return cast("Agent", found)
    raise unusable(path, used_as, "it must be an async generator function, or have `stream`")


@asynccontextmanager
async def open_agents(settings: Settings, given: Sequence[Agent] = ()) -> AsyncIterator[Agents]:
    """Make all agents, and close what they hold at the end.

    Args:
        given: agents in Python, before the configured ones.

    Raises:
        SettingsError: one of them cannot be made.
    """
    configured = settings.agents or default_agents(os.environ)
    async with AsyncExitStack() as stack:
        providers = _Providers(settings.providers, stack)
        if any(_is_simulated(agent) for agent in configured.values()):
            simulator = create_simulator()
            providers.simulator_url = await stack.enter_async_context(serve_simulator(simulator))
        agents = Agents(settings.default_agent)
        for agent in given:
            agents.add(agent)
        for name, wanted in configured.items():
            if wanted.python:
                agents.add(import_agent(name, wanted.python))
            else:
                is_shown = settings.server.demo and _is_simulated(wanted)
                tools = (make_demo_tools if is_shown else make_tools)(name, wanted)
                model_agent = ModelAgent(
                    _agent_config(name, wanted),
                    providers.get(wanted.provider),
                    tools,
                )
                agents.add(model_agent, list(dict.fromkeys((wanted.model, *wanted.models))))
        warming = asyncio.create_task(providers.warm_up(), name="warm up providers")
        try:
            yield agents
        finally:
            warming.cancel()
            await asyncio.wait({warming})


def default_agents(environment: Mapping[str, str]) -> dict[str, AgentSettings]:
    """Return the agents of a gateway without any configured: simulated, and real by key."""
    agents = {
        name: AgentSettings(provider=name, model="sim", models=tuple(MODELS), send_sources=True)
        for name in SIMULATED_KINDS
    }
    for provider, models in DEFAULT_MODELS.items():
        if environment.get(PROVIDER_KINDS[provider]):
            agents[provider] = AgentSettings(provider=provider, model=models[0], models=models)
    return agents


class _Providers:
    """Providers by name, each made once; closed with the stack."""

    def __init__(self, settings: Mapping[str, ProviderSettings], stack: AsyncExitStack) -> None:
        self.simulator_url = ""
        self._settings = settings
        self._stack = stack
        self._made: dict[str, Provider] = {}

    def get(self, name: str) -> Provider:
        provider = self._made.get(name)
        if provider is None:
            provider = self._made[name] = self._make(name)
            self._stack.push_async_callback(provider.close)
        return provider

    async def warm_up(self) -> None:
        """Have each provider's SDK at hand before the first message asks for it."""
        for name, provider in self._made.items():
            try:
                await provider.warm_up()
            except ProviderError as error:
                # Told again, to whoever sends to it; the other providers work.
                logger.warning("provider_unusable provider=%s reason=%s", name, error)

    def _make(self, name: str) -> Provider:
        settings = self._settings.get(name, ProviderSettings())
        kind = SIMULATED_KINDS.get(name)
        if kind is not None:
            path = "/anthropic" if kind == "anthropic" else "/openai/v1"
            return _provider(kind, settings, SIMULATED_KEY, self.simulator_url + path)
        key = os.environ.get(api_key_variable(name, settings)) or None
        return _provider(provider_kind(name, settings), settings, key, settings.base_url or None)


def _provider(
    kind: str, settings: ProviderSettings, api_key: str | None, base_url: str | None
) -> Provider:
    return _MAKERS[kind](
        api_key=api_key,
        base_url=base_url,
        max_retries=settings.max_retries,
        limits=TimeLimits(
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            between_bytes_s=settings.between_bytes_timeout_s,
        ),
    )


def _is_simulated(agent: AgentSettings) -> bool:
    return agent.provider in SIMULATED_KINDS


def _agent_config(name: str, agent: AgentSettings) -> ModelAgentConfig:
    return ModelAgentConfig(
        name=name,
        model=agent.model,
        models=agent.models,
        system=agent.system,
        parameters=agent.parameters,
        provider_options=agent.provider_options,
        send_reasoning=agent.send_reasoning,
        send_sources=agent.send_sources,
        message_metadata=agent.message_metadata,
        max_steps=agent.max_steps,
    )
