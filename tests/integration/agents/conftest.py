"""Real gateways with simulated models that call tools."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.answers import settings_with_tools
from tests.support.fixtures import (
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator

__all__ = ["own_deployment", "pytest_runtest_makereport", "simulator"]


@pytest.fixture(scope="module")
def with_tools(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Two gateways whose agents have tools. Shared: break nothing of it."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateways(2, settings_with_tools())
        yield made
