"""A gateway whose providers are raw TCP servers of the test's."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.far_end import FarEnd, far_end
from tests.support.fixtures import (
    anyio_backend,
    deployment,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.gateway import merged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess, Settings
    from tests.support.simulator import Simulator

__all__ = [
    "anyio_backend",
    "deployment",
    "own_deployment",
    "pytest_runtest_makereport",
    "simulator",
]


class Start(Protocol):
    """Starts a gateway with settings, over the defaults."""

    def __call__(self, settings: Settings | None = None, **environment: str) -> GatewayProcess:
        """Return it, ready."""
        ...


@pytest.fixture(scope="session")
async def served(anyio_backend: str) -> AsyncIterator[FarEnd]:
    """The far end of all providers."""
    async with far_end() as listening:
        yield listening


@pytest.fixture
def provider(served: FarEnd) -> FarEnd:
    """The far end, to which nobody has come yet."""
    while not served.arrived.empty():
        served.arrived.get_nowait()
    return served


@pytest.fixture(scope="session")
def gateway(
    served: FarEnd, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway as configured by default."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("deployment")
        yield start_deployment(simulator, folder, stack).add_gateway(places(served))


@pytest.fixture
def start(own_deployment: Deployment, provider: FarEnd) -> Start:
    """Start gateways before that far end."""

    def started(settings: Settings | None = None, **environment: str) -> GatewayProcess:
        return own_deployment.add_gateway(
            merged(places(provider), settings or {}), environment=environment
        )

    return started


def places(provider: FarEnd) -> Settings:
    """Return the settings that say where the providers are."""
    return {
        "providers.anthropic": {"base_url": provider.url},
        "providers.openai": {"base_url": f"{provider.url}/v1"},
    }
