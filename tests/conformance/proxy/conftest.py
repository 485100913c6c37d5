"""The providers' own SDKs, with and without the proxy between."""

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
