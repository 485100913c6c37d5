"""The AI SDK's own chats and transports, in Node, against real gateways."""

from __future__ import annotations

from tests.support.fixtures import (
    anyio_backend,
    deployment,
    node,
    own_deployment,
    pytest_runtest_makereport,
    simulator,
)

__all__ = [
    "anyio_backend",
    "deployment",
    "node",
    "own_deployment",
    "pytest_runtest_makereport",
    "simulator",
]
