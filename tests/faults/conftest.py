"""Faults: everything that breaks, against real processes."""

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
