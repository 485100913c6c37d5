"""Gateways whose agents are code of somebody's own: in Python, or behind HTTP."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    node,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.node import FOLDER, node_binary
from tests.support.processes import ChildProcess, free_port
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
    """What runs outside of the gateways, and what the gateways are told of it."""

    def __init__(self, folder: Path, simulator: Simulator, stack: ExitStack) -> None:
        modules = write_recipes(folder / "recipes")
        self.environment: Mapping[str, str] = {
            "ANTHROPIC_BASE_URL": f"{simulator.url}/anthropic",
            "ANTHROPIC_API_KEY": "any",
            "PYTHONPATH": f"{modules}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        route, backend = free_port(), free_port()
        commands = {
            route: [node_binary(), str(FOLDER / "route.mjs"), str(route), simulator.url],
            backend: [sys.executable, "-m", "uvicorn", "backend:app", "--port", str(backend)],
        }
        for port, command in commands.items():
            name = "route" if port == route else "backend"
            process = ChildProcess(name, command, folder / f"{name}.log", self.environment)
            stack.callback(process.end)
            process.wait_ready(lambda port=port: _listens(port))  # type: ignore[misc]
        self.settings: Settings = {
            "agents.story": {"python": "story:answer"},
            "agents.graph": {"python": "graph:answer"},
            "agents.weather": {"python": "weather:answer"},
            "agents.route": {"url": f"http://127.0.0.1:{route}/api/chat"},
            "agents.backend": {"url": f"http://127.0.0.1:{backend}/api/chat"},
        }


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


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
