"""Gateways whose agents are code of somebody's own: in Python, or behind HTTP."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.backend import asgi_application, node_route
from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    node,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.node import FOLDER
from tests.support.recipes import write_recipes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

__all__ = ["anyio_backend", "node", "own_deployment", "pytest_runtest_makereport", "simulator"]

AGENTS: Final = ("story", "weather", "route", "backend")
"""In Python: the plain one, and pydantic-ai. Behind HTTP: ai 7 on Node, and pydantic-ai."""


class Backends:
    """The processes outside of the gateways, and the gateways' settings for them."""

    def __init__(self, folder: Path, simulator: Simulator, stack: ExitStack) -> None:
        modules = write_recipes(folder / "recipes")
        self.environment: Mapping[str, str] = {
            "ANTHROPIC_BASE_URL": f"{simulator.url}/anthropic",
            "ANTHROPIC_API_KEY": "any",
            "PYTHONPATH": f"{modules}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        self.route = route = node_route(FOLDER / "route.mjs", simulator, folder / "route.log")
        stack.callback(route.end)
        backend = asgi_application("backend:app", folder / "backend.log", self.environment)
        stack.callback(backend.end)
        self.settings: Settings = {
            "agents.story": {"python": "story:answer"},
            "agents.graph": {"python": "graph:answer"},
            "agents.weather": {"python": "weather:answer"},
            "agents.guided": {"python": "guided:answer"},
            "agents.guided_graph": {"python": "guided_graph:answer"},
            "agents.route": {"url": route.url, "steer_url": f"{route.url}/steer"},
            "agents.backend": {"url": backend.url},
        }


@pytest.fixture(scope="session")
def backends(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """The backends, for the whole session."""
    with ExitStack() as stack:
        yield Backends(tmp_path_factory.mktemp("backends"), simulator, stack)


@pytest.fixture(scope="session")
def with_agents(
    simulator: Simulator, backends: Backends, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Two gateways with all of the agents. Shared: break nothing of it."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("agents"), stack)
        made.add_gateways(2, backends.settings, environment=backends.environment)
        yield made
