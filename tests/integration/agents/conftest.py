"""Real gateways with simulated models that call tools."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.fixtures import (
    own_deployment,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

__all__ = ["own_deployment", "pytest_runtest_makereport", "simulator"]

_NAMES: Final = (
    *("add", "meet", "transfer", "count", "refuse", "crash", "page", "hang", "unreadable", "dig"),
)


def settings_with_tools() -> Settings:
    """Return every agent's tools: Python ones, one that asks, and one of the client's.

    Besides, an agent whose model there is not, and one without tools.
    """
    settings: Settings = {}
    for agent in ("assistant", "responses", "completions"):
        settings[f"agents.{agent}"] = {
            "tools": [f"tests.support.tools:{name}" for name in _NAMES],
            "tool_timeout_s": 5,
            "max_steps": 6,
        }
        approval: dict[str, object] = {"transfer": "tests.support.tools:is_large", "dig": True}
        settings[f"agents.{agent}.needs_approval"] = approval
        settings[f"agents.{agent}.client_tools.where"] = {"description": "Where the person is."}
    settings["agents.lost"] = {"provider": "anthropic", "model": "sim-missing"}
    settings["agents.lost.client_tools.where"] = {"description": "Where the person is."}
    settings["agents.without"] = {"provider": "anthropic", "model": "sim-instant"}
    return settings


@pytest.fixture(scope="module")
def with_tools(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Two gateways whose agents have tools. Shared: break nothing of it."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateways(2, settings_with_tools())
        yield made
