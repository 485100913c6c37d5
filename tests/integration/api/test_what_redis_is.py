"""The server behind REDIS_URL is named; one that would lose sessions is refused, with advice."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from midstream import create_app
from midstream.errors import SettingsError
from midstream.process.serve import check_redis, with_redis_url
from midstream.settings.sections import Settings
from tests.support.in_process import InProcess
from tests.support.processes import ChildProcess, free_port
from tests.support.redis_server import redis_binary
from tests.support.refusals import REFUSALS, RefusingRedis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.api.conftest import Served

pytestmark = pytest.mark.anyio


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., RefusingRedis]]:
    """Start servers that are gone after the test."""
    started: list[RefusingRedis] = []

    def another(**kind: Any) -> RefusingRedis:
        folder = tmp_path / f"redis-{len(started)}"
        folder.mkdir()
        server = RefusingRedis(folder, **kind)
        started.append(server)
        server.start()
        return server

    yield another
    for server in started:
        server.end()


@contextmanager
def sentinel(folder: Path, watched: int) -> Iterator[str]:
    """Run a Sentinel that watches the primary on a port; yield its URL."""
    port = free_port()
    config = folder / "sentinel.conf"
    config.write_text(f"port {port}\nsentinel monitor mine 127.0.0.1 {watched} 1\n")
    command = [redis_binary(), str(config), "--sentinel"]
    process = ChildProcess("sentinel", command, folder / "sentinel.log")
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
        process.wait_ready(lambda: answers(client))
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.end()


def answers(client: redis.Redis) -> bool:
    """Whether a server is up."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def settings_for(url: str) -> Settings:
    """Return the default settings with a Redis."""
    return with_redis_url(Settings(), url)


async def test_ready_is_only_who_could_store_a_run(
    begin: Callable[..., RefusingRedis], subtests: pytest.Subtests
) -> None:
    """It is asked of Redis by a write, and says which Redis that is."""
    server = begin()
    gateway = create_app(settings_for(server.url))
    async with gateway.open():
        at = InProcess(gateway)
        ready = await at.ask("GET", "/readyz")
        assert (ready.status, ready.json()["status"]) == (200, "ok")
        said = ready.json()["redis"]
        assert (said["mode"], said["role"]) == ("standalone", "primary")
        assert (said["maxmemoryPolicy"], said["persistence"]) == ("noeviction", "snapshots")
        for word, refuse in REFUSALS.items():
            with subtests.test(word):
                with refuse(server):
                    refused = await at.ask("GET", "/readyz")
                assert (refused.status, refused.error) == (503, "store_unavailable")
                assert (await at.ask("GET", "/readyz")).status == 200
        server.do("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    async with gateway.open():
        warnings = (await InProcess(gateway).ask("GET", "/readyz")).json()["warnings"]
        assert any("volatile-lru" in warning for warning in warnings)


async def test_url_of_what_keeps_no_sessions_says_what_to_set(
    begin: Callable[..., RefusingRedis], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """A replica, a Sentinel and one node of a cluster answer, and would store nothing."""
    primary = begin()
    replica = begin()
    replica.do("REPLICAOF", "127.0.0.1", primary.port)
    await check_redis(settings_for(primary.url))
    watched = f"redis://127.0.0.1:{primary.port}"
    node = begin(cluster=True)
    with sentinel(tmp_path, primary.port) as sentinel_url:
        rows = [
            (replica.url, ("it is a replica", watched)),
            (sentinel_url, ("it is a Sentinel", sentinel_url.replace("://", "+sentinel://"))),
            (node.url, ("one node of a cluster", f"redis+cluster://127.0.0.1:{node.port}")),
        ]
        for url, words in rows:
            with subtests.test(words[0]):
                with pytest.raises(SettingsError) as raised:
                    await check_redis(settings_for(url))
                assert all(word in raised.value.message for word in (*words, "REDIS_URL"))


async def test_gateway_that_is_mounted_over_a_replica_is_up_and_not_ready(
    begin: Callable[..., RefusingRedis],
) -> None:
    """It may be a failover: the application that it is mounted in starts all the same."""
    server = begin()
    gateway = create_app(settings_for(server.url))
    with REFUSALS["READONLY"](server):
        async with gateway.open():
            refused = await InProcess(gateway).ask("GET", "/readyz")
    assert (refused.status, refused.error) == (503, "store_unavailable")
    assert b"Set REDIS_URL to its primary" in refused.body


async def test_serve_over_a_replica_ends_with_two_and_a_sentence(
    begin: Callable[..., RefusingRedis], start: Callable[..., Served]
) -> None:
    """As for any other wrong setting."""
    server = begin()
    with REFUSALS["READONLY"](server):
        served = start("--redis-url", server.url)
        assert served.process.wait_exit() == 2
    assert f"unable to use Redis at redis://127.0.0.1:{server.port}" in served.output()
    assert "Set REDIS_URL to its primary" in served.output()
    assert "Traceback" not in served.output()
