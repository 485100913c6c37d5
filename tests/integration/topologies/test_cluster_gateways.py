"""Gateways of a cluster, as processes: the main flow, and what they say at their start."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from midstream.store.server.examination import examine
from tests.support.gateway import GatewayProcess
from tests.support.processes import eventually
from tests.support.sessions import Session, text_of
from tests.support.verdicts import bad

if TYPE_CHECKING:
    from pathlib import Path

    from midstream.store.server.verdict import Verdict
    from tests.support.redis_cluster import RedisCluster
    from tests.support.simulator import Simulator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

SESSIONS = 6
"""Over all three shards."""


async def test_gateways_of_a_cluster_send_resume_stop_list_and_erase(
    redis_cluster: RedisCluster, simulator: Simulator, tmp_path: Path
) -> None:
    """Each session at two gateways, whichever shard has it; one of them dies, and its runs end."""
    gateways = [
        GatewayProcess(tmp_path / name, redis_cluster.url, simulator.url, wait=False)
        for name in ("one", "two")
    ]
    try:
        for gateway in gateways:
            gateway.wait_ready()
        here, there = gateways
        sessions = [Session(here.at) for _ in range(SESSIONS)]
        for session in sessions:
            await flow(session, session.through(there.at))
        await kill(here, sessions, there)
        for session in sessions:
            status, _ = await there.at.call("DELETE", f"/api/chat/{session.id}")
            assert status == 204
        status, listed = await there.at.call("GET", "/api/chats")
        assert (status, listed["chats"]) == (200, [])
    finally:
        for gateway in gateways:
            gateway.end()


async def flow(here: Session, there: Session) -> None:
    """Send, resume elsewhere, stop elsewhere, list."""
    sent = await here.send("[[tokens=20]] hello")
    assert sent.done
    (question, answer) = (await there.snapshot())["messages"]
    assert question["role"] == "user"
    assert text_of(answer) == sent.text
    run_id = await here.begin("[[tokens=100000 rate=50]] more")
    assert await there.stop() == [run_id]
    assert await there.is_ended()
    _, listed = await there.at.call("GET", "/api/chats")
    assert here.id in {chat["id"] for chat in listed["chats"]}


async def kill(lost: GatewayProcess, sessions: list[Session], other: GatewayProcess) -> None:
    """Kill a gateway in the middle of its runs; the other one closes them."""
    for session in sessions:
        await session.begin("[[tokens=100000 rate=50]] to be cut")
    lost.process.kill()
    for session in sessions:
        seen = await session.through(other.at).resume()
        assert seen is None or seen.done
        await eventually(session.through(other.at).is_ended, "the run is closed", 60)


async def test_doctor_judges_each_primary_of_a_cluster(redis_cluster: RedisCluster) -> None:
    """A cluster that is set well is good; the bad node of another one is named."""
    found = await found_at(redis_cluster.url)
    assert bad(found) == {}
    assert "a cluster of 3 primaries" in found["kind"].says
    assert {"slots", "rights", "clock", "session", "replicas", "persistence"} <= found.keys()

    evicting = redis_cluster.primaries[1]
    evicting.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis_cluster.primaries[2].do("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    found = await found_at(redis_cluster.url)
    assert bad(found).keys() == {"eviction", "failover"}
    assert f"127.0.0.1:{evicting.port}" in found["eviction"].says


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
