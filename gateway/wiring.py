"""Agents and their providers, made from the settings."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.python.agent import Agent
from midstream.agents.registry import Agents, import_agent
from midstream.agents.tools.configured import make_tools
from midstream.errors import SettingsError
from midstream.live_demo.agents import outliving_workers
from midstream.live_demo.tools import make_demo_tools
from midstream.providers.configured import Providers
from midstream.providers.registry import simulated_apis
from midstream.settings.agents import AgentSettings
from midstream.settings.provider_kinds import KINDS, simulators
from midstream.simulator import MODELS, create_simulator
from midstream.simulator.server import serve_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from midstream.agents.http.agent import HttpAgent
    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)


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
        if not simulator_url and any(_is_simulated(agent) for agent in configured.values()):
            simulator_url = await stack.enter_async_context(
                serve_simulator(create_simulator(simulated_apis()))
            )
        providers = Providers(settings.providers, stack, simulator_url)
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
        for name in simulators()
    }
    for name, kind in KINDS.items():
        if kind.models and environment.get(kind.key_variable):
            agents[name] = AgentSettings(provider=name, model=kind.models[0], models=kind.models)
    return agents


def _http_agent(name: str, agent: AgentSettings) -> HttpAgent:
    # Its HTTP client takes a while to import, and few gateways need it at their start.
    from midstream.agents.http.agent import HttpAgent, HttpAgentConfig

    config = HttpAgentConfig(
        name=name,
        url=agent.url,
        steer_url=agent.steer_url,
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
    return agent.provider in simulators()


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
        name_speakers=agent.name_speakers,
        max_steps=agent.max_steps,
        restarts=agent.on_interruption == "restart",
    )
