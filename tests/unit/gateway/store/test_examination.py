"""What is said of a server's address, clock and speed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import ResponseError

import midstream.store.redis.store as store
from midstream.settings.redis_url import ClusterUrl, parse_redis_url
from midstream.store.errors import translated, unavailable
from midstream.store.server.cluster_examination import unusable_node
from midstream.store.server.rehearsal import Rehearsed, own_prefix, written
from midstream.store.server.rights import DESCRIBING, acl_rules, needed, to_ask
from midstream.store.server.steps import clock, exposure, speed
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from midstream.store.redis.client import RedisClient

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("node", "words", "advice"),
    [
        ("127.0.0.1:1", "nothing can be reached at 127.0.0.1:1", "host, the port"),
        ("127.0.0.2:1", "the cluster leads to 127.0.0.2:1", "cluster-announce-hostname"),
    ],
)
async def test_node_that_cannot_be_reached_is_one_of_the_url_or_one_that_was_announced(
    node: str, words: str, advice: str
) -> None:
    """Only whoever set the nodes up can change the second."""
    named = parse_redis_url("redis+cluster://127.0.0.1:1")
    assert isinstance(named, ClusterUrl)
    verdict = await unusable_node(named, node, unavailable())
    assert verdict.says.startswith(words)
    assert advice in verdict.do


async def test_node_that_refuses_its_user_is_named() -> None:
    named = parse_redis_url("redis+cluster://127.0.0.1:1")
    assert isinstance(named, ClusterUrl)
    refused = translated(ResponseError("WRONGPASS invalid username-password pair"))
    assert refused is not None
    verdict = await unusable_node(named, "127.0.0.2:1", refused)
    assert verdict.says.startswith("127.0.0.2:1: ")
    assert "password" in verdict.do


def test_address_on_a_network_is_judged_by_who_could_read_along(
    subtests: pytest.Subtests,
) -> None:
    """This machine's own are not."""
    rows: list[tuple[str, dict[str, str]]] = [
        ("unix:///run/redis.sock", {}),
        ("redis://localhost", {}),
        ("redis://127.0.0.1:7000", {}),
        ("redis://db", {"encryption": "note", "password": "danger"}),
        ("redis://:pw@db", {"encryption": "note"}),
        ("rediss://ms:pw@db", {"encryption": "ok"}),
        ("redis+sentinel://localhost/mine", {}),
        ("redis+sentinel://localhost,s2/mine", {"encryption": "note", "password": "danger"}),
        ("rediss+sentinel://:pw@s1/mine", {"encryption": "ok"}),
    ]
    for url, expected in rows:
        with subtests.test(url):
            found = exposure(url)
            assert {v.subject: str(v.level) for v in found} == expected


class Telling:
    """A client of a server whose clock is ahead."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    async def ask(self, _: object) -> list[Any]:
        now_s = time.time() + self._ahead_s
        return [[b"%d" % int(now_s), b"%d" % (now_s % 1 * 1_000_000)]]


async def test_clock_is_compared_with_that_of_this_machine(subtests: pytest.Subtests) -> None:
    rows = [(0, "ok", "agree"), (60, "note", "60.0 s ahead of"), (-60, "note", "60.0 s behind")]
    for ahead_s, level, words in rows:
        with subtests.test(words):
            verdict = await clock(cast("RedisClient", Telling(ahead_s)))
            assert verdict.level == level
            assert words in verdict.says


def test_speed_is_judged_by_the_usual_and_by_the_longest_append(
    subtests: pytest.Subtests,
) -> None:
    rows = [([0.001] * 9, "ok"), ([0.05] * 9, "note"), ([0.001] * 8 + [0.9], "danger")]
    for appends_s, level in rows:
        with subtests.test(level):
            assert speed(Rehearsed(appends_s=appends_s, arrivals_s=[])).level == level


def test_examination_writes_under_a_prefix_of_its_own() -> None:
    """An ACL rule for the gateway's prefix allows it, and two examinations do not meet."""
    own = own_prefix("chat")
    assert own.startswith("chat:doctor-")
    assert own_prefix("chat") != own
    assert all(key.startswith(own.encode()) for key in written(own))


def test_rights_are_asked_on_the_gateways_own_names() -> None:
    """Each command once on each; the calls that ask prove their own."""
    rights = needed("chat")
    assert all(right.name.startswith(b"chat:") for right in rights if right.name)
    assert {right.command for right in rights} - {right.command for right in to_ask("chat")} == {
        "EVALSHA",
        "SCRIPT LOAD",
    }
    assert "~chat:* &chat:* -@all +config|get" in acl_rules("chat")


def test_rules_name_each_command_that_is_sent() -> None:
    """The table of those that are sent without a script is looked up in the source itself."""
    of_own_server = {"BGREWRITEAOF"}
    allowed = {right.command for right in needed("ms")} | set(DESCRIBING) | of_own_server
    assert allowed >= sent_without_a_script()


def test_rules_stand_in_the_docs() -> None:
    assert acl_rules("ms") in (REPOSITORY / "docs" / "operations.md").read_text().splitlines()
    of_cluster = acl_rules("ms", sharded=True)
    assert of_cluster in (REPOSITORY / "docs" / "cluster.md").read_text().splitlines()


def sent_without_a_script() -> set[str]:
    """Return the commands that stand in the store's source."""
    folder = Path(str(store.__file__)).parent
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    found = re.findall(r'\(\s*"([A-Z]{3,})",\s*"?([A-Z]{4,})?', text)
    found += [(word, "") for word in re.findall(r'send_command\("([A-Z]+)"', text)]
    words = {" ".join(filter(None, pair)) for pair in found}
    return words - {"CONFIG", "INFO", "SSUBSCRIBE", "SUNSUBSCRIBE"}
