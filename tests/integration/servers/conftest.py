"""Gateways over a real inference server."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.fixtures import pytest_runtest_makereport, simulator, start_deployment
from tests.support.llama_server import LEFT_OUT, LlamaServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

__all__ = ["pytest_runtest_makereport", "simulator"]

KINDS: Final = {"chat": "openai-chat", "responses": "openai", "messages": "anthropic"}
"""API -> the kind of the provider that speaks it."""


def settings_for(url: str) -> Settings:
    """Return an agent for each API, and one more with a tool."""
    settings: Settings = {}
    for api, kind in KINDS.items():
        version = "" if kind == "anthropic" else "/v1"
        settings[f"providers.llama-{api}"] = {"kind": kind, "base_url": f"{url}{version}"}
        agent: dict[str, object] = {"provider": f"llama-{api}", "model": "scripted"}
        settings[f"agents.{api}"] = agent
        settings[f"agents.{api}-tools"] = {**agent, "tools": ["tests.support.tools:add"]}
    return settings


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """The server, for the whole session."""
    if LEFT_OUT:
        pytest.skip(LEFT_OUT)
    server = LlamaServer(tmp_path_factory.mktemp("llama"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def over_llama(
    llama: LlamaServer, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Two gateways whose models are the server's. Shared: break nothing of it."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("over-llama"), stack)
        made.add_gateways(2, settings_for(llama.url))
        yield made
