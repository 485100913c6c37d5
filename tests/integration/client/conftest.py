"""Real gateways that workers push into, with an agent key and short leases."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import (
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.push import PUSH_ENVIRONMENT, PUSH_SETTINGS, client_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from midstream.client import Midstream
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session
    from tests.support.simulator import Simulator

__all__ = ["own_deployment", "pytest_runtest_makereport", "simulator"]


@pytest.fixture(scope="module")
def pushed(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two gateways over one Redis. Shared: break nothing of it."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("push"), stack)
        made.add_gateways(2, PUSH_SETTINGS, environment=PUSH_ENVIRONMENT)
        yield made


@pytest.fixture
async def client(pushed: Deployment) -> AsyncIterator[Midstream]:
    """A worker's client, of both gateways."""
    async with client_of(pushed) as opened:
        yield opened


@pytest.fixture
def session(pushed: Deployment) -> Session:
    """A new session."""
    return pushed.session()
