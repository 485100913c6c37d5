"""Agents and their providers, made from the settings."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec import structs

from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.python.agent import Agent
from midstream.agents.registry import Agents, import_agent
from midstream.agents.tools.configured import make_tools
from midstream.errors import ProviderError, SettingsError
from midstream.live_demo.agents import outliving_workers
from midstream.live_demo.tools import make_demo_tools
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.azure.provider import (
    AzureChatProvider,
    AzureClient,
    AzureResponsesProvider,
    azure_address,
)
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.stream.sse_step import TimeLimits
from midstream.settings.agents import AgentSettings
from midstream.settings.providers import (
    AZURE_KINDS,
    PROVIDER_KINDS,
    SIMULATED_KINDS,
    ProviderSettings,
    api_key_variable,
    provider_kind,
)
from midstream.simulator import MODELS, create_simulator
from midstream.simulator.server import serve_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from midstream.agents.http.agent import HttpAgent
    from midstream.providers.base import Provider
    from midstream.settings.sections import Settings

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


def _check_given(agent: object) -> None:
    """Raise SettingsError unless an application's agent is an `Agent`."""
    if not isinstance(agent, Agent):
        raise SettingsError(
            f"unable to use {agent!r:.80} as an agent; give a `midstream.Agent(name, function)`"
        )


@asynccontextmanager
async def open_agents(
    settings: Settings, given: Sequence[Agent] = (), *, simulator_url: str = ""
) -> AsyncIterator[Agents]:
    """Make all agents, and close what they hold at the end.

    Args:
        given: agents in Python, before the configured ones. With them, there are no default
            agents.
        simulator_url: where the simulated providers are; empty: in this process.

    Raises:
        SettingsError: one of them cannot be made.
    """
    configured = settings.agents or ({} if given else default_agents(os.environ))
    if settings.server.demo and not settings.agents:
        configured = outliving_workers(configured)
    async with AsyncExitStack() as stack:
        providers = _Providers(settings.providers, stack)
        providers.simulator_url = simulator_url
        if not simulator_url and any(_is_simulated(agent) for agent in configured.values()):
            simulator = create_simulator()
            providers.simulator_url = await stack.enter_async_context(serve_simulator(simulator))
        agents = Agents(settings.default_agent)
        for agent in given:
            _check_given(agent)
            agents.add(agent, agent.models or None)
        for name, wanted in configured.items():
            if wanted.python:
                imported = import_agent(name, wanted.python)
                agents.add(imported, imported.models or None)
            elif wanted.url:
                backend = _http_agent(name, wanted)
                stack.push_async_callback(backend.close)
                agents.add(backend, wanted.models or None)
            else:
                is_shown = settings.server.demo and _is_simulated(wanted)
                tools = (make_demo_tools if is_shown else make_tools)(name, wanted)
                model_agent = ModelAgent(
                    _agent_config(name, wanted),
                    providers.get(wanted.provider),
                    tools,
                )
                agents.add(model_agent, list(dict.fromkeys((wanted.model, *wanted.models))))
        agents.check_default()
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
        """Import each provider's SDK before the first message needs it."""
        for name, provider in self._made.items():
            try:
                await provider.warm_up()
            except ProviderError as error:
                # Raised again for each run that needs it; the other providers work.
                logger.warning("provider_unusable provider=%s reason=%s", name, error)

    def _make(self, name: str) -> Provider:
        settings = self._settings.get(name, ProviderSettings())
        kind = SIMULATED_KINDS.get(name)
        if kind is not None:
            path = "/anthropic" if kind == "anthropic" else "/openai/v1"
            # It stands for the vendors' own.
            own = structs.replace(settings, compatible=settings.compatible or False)
            return _provider(name, kind, own, SIMULATED_KEY, self.simulator_url + path)
        kind = provider_kind(name, settings)
        key = os.environ.get(api_key_variable(name, settings)) or None
        if kind in AZURE_KINDS:
            return _azure(kind, settings, key)
        return _provider(name, kind, settings, key, settings.base_url or None)


def _provider(
    name: str, kind: str, settings: ProviderSettings, api_key: str | None, base_url: str | None
) -> Provider:
    more: dict[str, object] = {"compatible": settings.compatible}
    if kind == "openai-chat":
        more |= {"label": name, "thinking_field": settings.thinking_field or None}
    return _MAKERS[kind](
        **more,
        api_key=api_key,
        base_url=base_url,
        max_retries=settings.max_retries,
        limits=_limits(settings),
    )


def _azure(kind: str, settings: ProviderSettings, api_key: str | None) -> Provider:
    address = azure_address(
        resource=settings.resource or os.environ.get("AZURE_RESOURCE_NAME", ""),
        base_url=settings.base_url,
        api_version=settings.api_version,
        by_deployment=settings.deployment_urls,
    )
    client = AzureClient(
        address,
        api_key=api_key,
        max_retries=settings.max_retries,
        limits=_limits(settings),
    )
    return AzureChatProvider(client) if kind == "azure-chat" else AzureResponsesProvider(client)


def _limits(settings: ProviderSettings) -> TimeLimits:
    return TimeLimits(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_byte_timeout_s,
        between_bytes_s=settings.between_bytes_timeout_s,
    )


def _http_agent(name: str, agent: AgentSettings) -> HttpAgent:
    # Its HTTP client takes a while to import, and few gateways need it at their start.
    from midstream.agents.http.agent import HttpAgent, HttpAgentConfig

    config = HttpAgentConfig(
        name=name,
        url=agent.url,
        models=agent.models,
        forward_headers=forwarded_headers([agent]),
        secret_headers={
            header.lower(): os.environ[variable]
            for header, variable in agent.secret_headers.items()
        },
        first_byte_s=agent.first_byte_timeout_s,
        between_bytes_s=agent.between_bytes_timeout_s,
        max_bytes=agent.max_answer_bytes,
    )
    return HttpAgent(config)


def forwarded_headers(agents: Iterable[AgentSettings]) -> tuple[str, ...]:
    """Return the names, in lower case, of the client's headers that any of them forwards."""
    return tuple(
        {name.lower(): None for agent in agents if agent.url for name in agent.forward_headers}
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
        restarts=agent.on_interruption == "restart",
    )
