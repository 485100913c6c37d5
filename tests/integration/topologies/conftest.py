"""Real clusters and Sentinels."""

from tests.support.fixtures import pytest_runtest_makereport, simulator
from tests.support.topologies import redis_cluster, sentinels

__all__ = ["pytest_runtest_makereport", "redis_cluster", "sentinels", "simulator"]
