"""A gateway whose providers are scripts on sockets, for its agents and its proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.endings.answers import APIS, wire
from tests.support.fixtures import anyio_backend, pytest_runtest_makereport
from tests.support.gateway import GatewayProcess
from tests.support.scripted import Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.gateway import Settings

__all__ = ["anyio_backend", "pytest_runtest_makereport"]

AGENTS: Final = {api: f"odd-{api}" for api in APIS}
"""API -> the agent, and the provider, that speaks it."""

_KINDS: Final = {"chat": "openai-chat", "responses": "openai", "messages": "anthropic"}

TOOLS: Final = '''
async def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sunny in {city}"
'''


@pytest.fixture(scope="session")
async def provider(anyio_backend: str) -> AsyncIterator[Scripted]:
    """The far end of all providers."""
    async with scripted() as listening:
        yield listening


@pytest.fixture(scope="session")
def gateway(
    provider: Scripted, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway over an embedded Redis, with time limits that a test must not wait for."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "odd_tools.py").write_text(TOOLS)
    settings: Settings = {}
    for api, name in AGENTS.items():
        path = "" if api == "messages" else "/v1"
        settings[f"agents.{name}"] = {
            "provider": name,
            "model": "odd-1",
            "tools": ["odd_tools:weather"],
        }
        settings[f"providers.{name}"] = {
            "kind": _KINDS[wire(api)],
            "base_url": f"{provider.url}{path}",
            "max_retries": 0,
        }
        if wire(api) == "chat":
            settings[f"providers.{name}"]["compatible"] = api == "compatible"
    settings["agents.backend"] = {"url": f"{provider.url}/backend"}
    process = GatewayProcess(
        folder, None, provider.url, settings, environment={"PYTHONPATH": str(folder)}
    )
    yield process
    process.end()
