"""What is said of a server that tells of its memory, disk, replicas and failover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midstream.store.server.facts import UNKNOWN, read_info
from midstream.store.server.inspection import Inspection
from midstream.store.server.verdict import Level

if TYPE_CHECKING:
    import pytest

PRIMARY: dict[str, str] = {
    "redis_version": "8.2.3",
    "redis_mode": "standalone",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
}
FOLLOWS = "ip=10.0.0.6,port=6379,state=online,offset=7,lag=0"
WATCHED = {
    "name": "mine",
    "num-other-sentinels": "2",
    "num-slaves": "1",
    "down-after-milliseconds": "5000",
}


def judged(
    said: dict[str, str],
    settings: dict[str, str] | None = None,
    watched: dict[str, str] | None = None,
) -> dict[str, tuple[Level, str]]:
    """Return what is said of a server, by subject."""
    fields: dict[str, Any] = {**PRIMARY, **said}
    info = "".join(f"{name}:{value}\r\n" for name, value in fields.items()).encode()
    seen = Inspection(
        facts=read_info(info, b""),
        said=fields,
        settings=settings or {},
        watched=[{**WATCHED, **(watched or {})}],
    )
    return {verdict.subject: (verdict.level, verdict.text) for verdict in seen.verdicts}


def test_each_property_is_judged_by_what_the_server_says(subtests: pytest.Subtests) -> None:
    """The level, and a word of the sentence."""
    cluster = {"redis_mode": "cluster"}
    rows: list[tuple[str, dict[str, str], dict[str, str], Level, str]] = [
        ("version", {"redis_version": "6.0.16"}, {}, Level.FAULT, "6.2 or newer"),
        ("memory", {"used_memory": "9000000"}, {}, Level.NOTE, "maxmemory"),
        ("memory", {"used_memory": "9", "maxmemory": "10"}, {}, Level.DANGER, "Raise maxmemory"),
        ("memory", {"used_memory": "1", "maxmemory": "10"}, {}, Level.OK, "are used"),
        ("evicted", {"evicted_keys": "3"}, {}, Level.DANGER, "deleted 3 keys"),
        ("disk", {"aof_last_write_status": "err"}, {}, Level.FAULT, "its disk"),
        ("disk", {"rdb_last_bgsave_status": "err"}, {}, Level.FAULT, "its disk"),
        ("disk", {}, {"appendfsync": "no"}, Level.DANGER, "everysec"),
        ("disk", {}, {"appendfsync": "always"}, Level.OK, "no acknowledged write"),
        (
            "connections",
            {"maxclients": "200", "connected_clients": "90"},
            {},
            Level.DANGER,
            "maxclients",
        ),
        ("replicas", {}, {}, Level.NOTE, "no replica"),
        ("replicas", {"slave0": FOLLOWS}, {}, Level.OK, "that follow: 1"),
        (
            "replicas",
            {"slave0": FOLLOWS.replace("lag=0", "lag=60")},
            {},
            Level.DANGER,
            "do not follow",
        ),
        (
            "replicas",
            {"slave0": FOLLOWS},
            {"min-replicas-to-write": "1"},
            Level.DANGER,
            "restart of one",
        ),
        ("replicas", {}, {"min-replicas-to-write": "1"}, Level.FAULT, "refuses writes"),
        ("failover", cluster, {"cluster-require-full-coverage": "yes"}, Level.DANGER, "to no"),
    ]
    for subject, said, settings, level, words in rows:
        with subtests.test(f"{subject} {said} {settings}"):
            found = judged(said, settings)[subject]
            assert found[0] is level
            assert words in found[1]


def test_sentinels_are_judged_by_what_they_watch(subtests: pytest.Subtests) -> None:
    """Three of them, a replica, and a quick detection; the first that is wrong is told."""
    assert "failover" not in judged({})
    rows = [
        ({"num-other-sentinels": "1"}, "three"),
        ({"num-slaves": "0"}, "replica"),
        ({"down-after-milliseconds": "30000"}, "5000"),
    ]
    for watched, word in rows:
        with subtests.test(word):
            level, text = judged({}, watched=watched)["failover"]
            assert level is Level.DANGER
            assert word in text
            assert "mine" in text


def test_newer_servers_and_other_kinds_are_not_too_old(subtests: pytest.Subtests) -> None:
    """Valkey names an old version of Redis beside its own."""
    for said in (
        {"redis_version": "6.2.5"},
        {"redis_version": "7.2.4", "valkey_version": "9.1.2"},
        {"redis_version": ""},
    ):
        with subtests.test(str(said)):
            assert "version" not in judged(said)


def test_server_that_refuses_to_describe_itself_is_only_noted() -> None:
    """It may work all the same."""
    seen = Inspection(facts=UNKNOWN, said={}, settings={})
    (verdict,) = seen.verdicts
    assert verdict.level is Level.NOTE
    assert "INFO" in verdict.do
