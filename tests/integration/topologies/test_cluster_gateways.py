"""What is said of a cluster: by the doctor, and by a gateway with the wrong URL at its start."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from midstream.store.redis.store import RedisStore
from midstream.store.server.examination import examine
from tests.support.verdicts import bad

if TYPE_CHECKING:
    from pathlib import Path

    from midstream.store.server.verdict import Verdict
    from tests.support.redis_cluster import RedisCluster

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_doctor_judges_each_primary_of_a_cluster(redis_cluster: RedisCluster) -> None:
    """A cluster that is set well is good; the bad node of another one is named."""
    found = await found_at(redis_cluster.url)
    assert bad(found) == {}
    assert "a cluster of 3 primaries" in found["kind"].says
    assert {"slots", "rights", "clock", "session", "replicas", "persistence"} <= found.keys()

    evicting = redis_cluster.primaries[1]
    evicting.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis_cluster.primaries[2].do("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    slow = redis_cluster.primaries[0]
    slow.do("CONFIG", "SET", "cluster-node-timeout", 15_000)
    found = await found_at(redis_cluster.url)
    assert bad(found).keys() == {"eviction", "failover", "retention"}
    assert f"127.0.0.1:{evicting.port}" in found["eviction"].says
    assert f"127.0.0.1:{slow.port}: cluster-node-timeout is 15000" in found["retention"].says

    async with RedisStore.connect(redis_cluster.url) as store:
        warnings = (await store.describe()).warnings
    assert any("cluster-node-timeout is 15000" in each for each in warnings), "said at a start"


async def found_at(url: str) -> dict[str, Verdict]:
    """Examine a cluster; return what was found, by subject."""
    found: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        assert verdict.subject not in found, "each property is judged once"
        found[verdict.subject] = verdict

    await examine(url, "ms", tell, command_timeout_s=10)
    return found


def test_url_that_does_not_fit_what_is_there_is_refused_with_the_one_to_use(
    redis_cluster: RedisCluster, tmp_path: Path
) -> None:
    """Of one node, without the word cluster."""
    node = redis_cluster.nodes[0]
    ended = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "midstream", "serve", "--port", "0", "--redis-url", node.url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert f"redis+cluster://127.0.0.1:{node.port}" in ended.stderr
