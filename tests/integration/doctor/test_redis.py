"""What is said of each kind of Redis, good and bad, and of what is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from midstream.store.server.rights import acl_rules
from tests.support.redis_cluster import ClusterNode
from tests.support.redis_kinds import default_kind
from tests.support.redis_sentinels import Sentinel
from tests.support.verdicts import bad

from .conftest import found_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.redis_kinds import Kind

    from .conftest import AsSet

    Serve = Callable[..., AsSet]

pytestmark = pytest.mark.anyio


async def test_good_server_is_fit_for_use(serve: Serve, kind: Kind) -> None:
    """Whichever it is, nothing is dangerous, and nothing of the examination is left."""
    server = serve(kind.program)
    server.client.set("ms:{mine}:meta", "untouched")
    found = await found_at(server.url)

    assert bad(found) == {}
    assert {"kind", "eviction", "persistence", "memory", "disk", "connections"} <= found.keys()
    assert {"replicas", "rights", "clock", "session", "speed"} <= found.keys()
    assert "rest" not in found
    assert found["kind"].says.startswith(f"it is {kind.name.partition('-')[0]} ")
    assert server.client.keys() == [b"ms:{mine}:meta"]


SETTINGS: list[tuple[dict[str, str], str, str]] = [
    ({"maxmemory_policy": "volatile-lru"}, "eviction", "noeviction"),
    ({"appendonly": "no"}, "persistence", "appendonly"),
    ({"appendonly": "no", "save": "3600 1"}, "persistence", "appendonly"),
    ({"appendfsync": "no"}, "disk", "everysec"),
    ({"min_replicas_to_write": "1"}, "replicas", "replicas"),
    ({"maxclients": "100"}, "connections", "maxclients"),
]
"""Options, the property that they spoil, and a word of what to set."""


async def test_bad_setting_is_named_with_what_to_set(
    serve: Serve, subtests: pytest.Subtests
) -> None:
    """One at a time; the others stay good."""
    for options, subject, word in SETTINGS:
        with subtests.test(str(options)):
            found = await found_at(serve(**options).url)
            assert subject in bad(found)
            assert word in found[subject].do
            assert bad(found).keys() <= {subject, "session"}


async def test_full_server_and_what_it_has_deleted_are_told(serve: Serve) -> None:
    """Before sends are refused, and after parts of sessions are gone."""
    server = serve(maxmemory="4mb", maxmemory_policy="allkeys-lru")
    for i in range(60):
        server.client.set(f"filler-{i}", b"x" * 100_000)
    found = await found_at(server.url)
    assert {"eviction", "evicted", "memory"} <= bad(found).keys()


async def test_server_that_keeps_no_sessions_is_said_to_be_what_it_is(
    serve: Serve, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """A replica, a node of a cluster, a Sentinel: with the URL to use."""
    primary = serve()
    replica = serve(replicaof=f"127.0.0.1 {primary.port}")
    node = ClusterNode(tmp_path / "node", default_kind())
    node.start()
    sentinel = Sentinel(tmp_path / "sentinel", default_kind(), primary)
    rows = [
        (replica.url, "a replica", f"redis://127.0.0.1:{primary.port}"),
        (node.url, "one node of a cluster", f"redis+cluster://127.0.0.1:{node.port}"),
        (sentinel.url, "a Sentinel", f"redis+sentinel://127.0.0.1:{sentinel.port}/mine"),
    ]
    try:
        for url, what, do in rows:
            with subtests.test(what):
                found = await found_at(url)
                assert found["kind"].level == "fault"
                assert what in found["kind"].says
                assert do in found["kind"].do
                assert "session" not in found
    finally:
        node.end()
        sentinel.process.kill()
        sentinel.client.close()


# -- who may do what ----------------------------------------------------------------------


def user(server: AsSet, *rules: str) -> str:
    """Make an ACL user with these rules; return the URL with it."""
    command = ("ACL", "SETUSER", "ms", "reset", "on", ">secret", *rules)
    server.client.execute_command(*command)  # type: ignore[no-untyped-call]
    return server.url.replace("redis://", "redis://ms:secret@")


async def test_user_with_the_rules_that_are_told_may_do_all(serve: Serve, kind: Kind) -> None:
    """They are enough, also in the server's own opinion, and no more than what is used."""
    server = serve(kind.program)
    assert bad(await found_at(user(server, *acl_rules("ms").split()))) == {}


async def test_each_missing_right_is_named(serve: Serve) -> None:
    """All at once, before a person meets them one by one; with the rules to give."""
    server = serve()
    rules = acl_rules("ms").split()
    missing = {"+xadd", "+publish", "+hexists"}
    url = user(server, *(rule for rule in rules if rule not in missing))
    found = await found_at(url)
    assert found["rights"].says == "the user may not run HEXISTS, PUBLISH, XADD"
    assert acl_rules("ms") in found["rights"].do
    assert found["session"].level == "fault"

    url = user(server, *rules, "resetkeys", "~other:*")
    assert re.search(r"EVALSHA \(.* key", (await found_at(url))["rights"].says)
    url = user(server, *rules, "resetchannels", "&other:*")
    assert {"PUBLISH", "SUBSCRIBE"} <= set(
        (await found_at(url))["rights"].says.removeprefix("the user may not run ").split(", ")
    )


@pytest.mark.parametrize("right", ["+evalsha", "+script|load", "+info", "+config|get"])
async def test_right_of_the_examination_itself_may_be_missing(serve: Serve, right: str) -> None:
    """What can still be judged is; INFO and CONFIG are of use, and not needed."""
    server = serve()
    url = user(server, *(rule for rule in acl_rules("ms").split() if rule != right))
    found = await found_at(url)
    is_needed = right in {"+evalsha", "+script|load"}
    assert ("rights" in bad(found)) == is_needed
    assert ("description" in found) == (right == "+info")


async def test_wrong_or_no_password_is_told(serve: Serve) -> None:
    """With Redis's own word, and without the password."""
    server = serve()
    server.client.config_set("requirepass", "right")
    for url in (server.url, server.url.replace("redis://", "redis://:wrong-one@")):
        found = await found_at(url)
        assert bad(found) == {"connection": "fault"}
        assert "password" in found["connection"].says
        assert "wrong-one" not in found["connection"].text
