"""Facts that a server reports, and the advice about them."""

from __future__ import annotations

import pytest

from midstream.store.server.facts import (
    FRESH_S,
    UNKNOWN,
    KnownServer,
    ServerFacts,
    of_cluster,
    read_info,
)
from midstream.store.server.verdict import Level

pytestmark = pytest.mark.anyio


def info(**said: str | int) -> bytes:
    """Return a reply to INFO."""
    return "".join(["# Server\r\n", *(f"{k}:{v}\r\n" for k, v in said.items())]).encode()


PRIMARY: dict[str, str | int] = {
    "redis_version": "8.2.3", "redis_mode": "standalone", "role": "master",
    "maxmemory_policy": "noeviction", "aof_enabled": 1,
}  # fmt: skip


def test_info_is_read_of_each_kind_of_server(subtests: pytest.Subtests) -> None:
    """Each server's own report; missing facts stay open."""
    rows: list[tuple[bytes, bytes | None, ServerFacts]] = [
        (
            info(**PRIMARY),
            None,
            ServerFacts(
                server="redis",
                version="8.2.3",
                mode="standalone",
                role="primary",
                maxmemory_policy="noeviction",
                persistence="aof",
            ),
        ),
        (
            info(redis_version="7.2.4", valkey_version="9.1.2", aof_enabled=0),
            b"3600 1",
            ServerFacts(server="valkey", version="9.1.2", persistence="snapshots"),
        ),
        (info(aof_enabled=0), b"", ServerFacts(server="redis", persistence="none")),
        (info(aof_enabled=0), None, ServerFacts(server="redis")),
        (b"", None, ServerFacts(server="redis")),
    ]
    for reply, save, facts in rows:
        with subtests.test(repr(reply)):
            assert read_info(reply, save) == facts


def test_server_that_takes_no_writes_is_refused_with_what_to_set(
    subtests: pytest.Subtests,
) -> None:
    """The sentence names the primary where the server knows it."""
    watched = "name=mymaster,status=ok,address=10.0.0.5:6380,slaves=1,sentinels=3"
    rows = [
        (
            info(redis_mode="sentinel", master0=watched),
            ("Sentinel", "REDIS_URL to rediss+sentinel://s1:26379/mymaster, with"),
        ),
        (info(redis_mode="sentinel"), ("Sentinel", "HOST:PORT,HOST:PORT/NAME")),
        (info(redis_mode="cluster", role="master"), ("one node of a cluster", "redis+cluster://")),
        (
            info(redis_mode="standalone", role="slave", master_host="db-1", master_port=6379),
            ("a replica", "rediss://db-1:6379"),
        ),
    ]
    for reply, words in rows:
        with subtests.test(repr(reply)):
            refusal = read_info(reply, at="rediss://s1:26379").refusal or ""
            assert all(word in refusal for word in (*words, "Set REDIS_URL")), refusal
    assert read_info(info(**PRIMARY)).refusal is None
    assert UNKNOWN.refusal is None


def test_whatever_may_cost_sessions_is_warned_of(subtests: pytest.Subtests) -> None:
    """Any eviction, as every key of ours has a TTL; and no file to start again on."""
    for policy in ("volatile-lru", "allkeys-lfu", "volatile-ttl"):
        with subtests.test(policy):
            (warning,) = read_info(info(**PRIMARY | {"maxmemory_policy": policy})).warnings
            assert policy in warning
            assert "noeviction" in warning
    for save, word in ((b"", "restart"), (b"3600 1", "snapshot")):
        with subtests.test(repr(save)):
            (warning,) = read_info(info(**PRIMARY | {"aof_enabled": 0}), save).warnings
            assert word in warning
    assert read_info(info(**PRIMARY)).warnings == []
    assert UNKNOWN.warnings == []


def test_detection_of_a_failover_is_held_against_what_gateways_hold(
    subtests: pytest.Subtests,
) -> None:
    """Twice over, by the setting of the kind of servers; a lone Redis has none."""
    rows = [
        ("cluster", "5000", Level.OK, "cluster-node-timeout is 5000"),
        ("cluster", "15000", Level.DANGER, "cluster-node-timeout is 15000"),
        ("standalone", "5000", Level.OK, "down-after-milliseconds is 5000"),
        ("standalone", "5001", Level.DANGER, "down-after-milliseconds is 5001"),
    ]
    for mode, detection_ms, level, words in rows:
        with subtests.test(f"{mode} {detection_ms}"):
            facts = ServerFacts(mode=mode, primaries="3", detection_ms=detection_ms)
            (verdict,) = (each for each in facts.verdicts if each.subject == "retention")
            assert verdict.level is level
            assert words in verdict.says
            assert (verdict.do == "Set it to 5000") is (level is Level.DANGER)
            assert (verdict.text in facts.warnings) is (level is Level.DANGER)
    assert all(each.subject != "retention" for each in read_info(info(**PRIMARY)).verdicts)


def test_cluster_detects_as_late_as_its_slowest_node() -> None:
    nodes = [ServerFacts(mode="cluster", detection_ms=ms) for ms in ("5000", "15000", "")]
    assert of_cluster(nodes).detection_ms == "15000"


async def test_server_is_asked_again_when_what_is_known_is_old() -> None:
    """A name may lead to another server by then."""
    replies = [ServerFacts(role="primary"), ServerFacts(role="replica")]
    seconds = 5.0

    async def describe() -> ServerFacts:
        return replies.pop(0)

    server = KnownServer(describe, now=lambda: seconds)
    assert (await server.facts()).role == "primary"
    seconds += FRESH_S - 1
    assert (await server.facts()).role == "primary"
    seconds += 1
    assert (await server.facts()).role == "replica"
