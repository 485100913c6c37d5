"""What the doctor says of TLS and users, at a cluster and behind Sentinels: good ones, bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.store.server.examination import examine
from tests.support.processes import wait_until
from tests.support.redis_kinds import clustered
from tests.support.secured import (
    USER,
    WATCHER,
    SecuredCluster,
    SecuredSentinels,
    allow,
    rules_in,
    rules_of_sentinels,
    user,
)
from tests.support.topologies import each_kind
from tests.support.verdicts import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.store.server.verdict import Verdict
    from tests.support.redis_kinds import Kind

pytestmark = [pytest.mark.anyio, pytest.mark.release, pytest.mark.timeout(240)]

STRANGER = "ms:not-the-secret"


@pytest.fixture(params=each_kind(clustered()))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each server that can be a cluster."""
    made: Kind = request.param
    return made


@pytest.fixture
def cluster(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCluster]:
    """Three primaries."""
    made = SecuredCluster(tmp_path_factory.mktemp("cluster"), kind, replicas=0)
    yield made
    made.end()


@pytest.fixture
def sentinels(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredSentinels]:
    """A primary with two replicas, and three Sentinels."""
    made = SecuredSentinels(tmp_path_factory.mktemp("sentinels"), kind)
    yield made
    made.end()


async def found_at(url: str) -> dict[str, Verdict]:
    """Examine what is at a URL; return what was found, by subject."""
    found: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        assert verdict.subject not in found, "each property is judged once"
        found[verdict.subject] = verdict

    await examine(url, "ms", tell, command_timeout_s=10)
    return found


async def test_cluster_with_tls_and_a_user_is_judged(cluster: SecuredCluster) -> None:
    """Nothing is refused to the user of the docs; each mistake is named with what to do."""
    found = await found_at(cluster.url)
    assert bad(found) == {}
    assert cluster.denied() == []

    found = await found_at(cluster.url_as(USER, certificate=False))
    assert "certificate" in found["connection"].says
    assert "ssl_ca_certs" in found["connection"].do
    found = await found_at(cluster.url_as(STRANGER))
    assert "password" in found["connection"].says
    assert "not-the-secret" not in found["connection"].text

    node = cluster.nodes[1]
    rules = [rule for rule in rules_in("cluster.md") if rule not in ("+xadd", "+spublish")]
    allow([node], *rules)
    found = await found_at(cluster.url)
    assert f"127.0.0.1:{node.port}: the user may not run SPUBLISH, XADD" in found["rights"].says


async def test_sentinels_with_tls_and_users_are_judged(sentinels: SecuredSentinels) -> None:
    """They have a user of their own, which the docs name, too."""
    found = await found_at(sentinels.url)
    assert bad(found) == {}
    assert sentinels.denied() == []

    found = await found_at(sentinels.url_as(USER, certificate=False))
    assert "certificate" in found["sentinels"].says
    found = await found_at(sentinels.url_as(STRANGER))
    assert "password" in found["connection"].says
    assert "not-the-secret" not in found["connection"].text
    found = await found_at(sentinels.url_as(USER, watcher="watcher:wrong-one"))
    assert found["sentinels"].level == "fault"
    assert "Sentinels' user and password" in found["sentinels"].do
    assert "wrong-one" not in found["sentinels"].text

    rules = [rule for rule in rules_of_sentinels() if rule != "+sentinel|master"]
    sentinels.sentinels[0].do(*user(WATCHER, *rules))
    found = await found_at(sentinels.url)
    assert bad(found).keys() == {"sentinels"}
    assert "sentinel|master" in found["sentinels"].says


async def test_cluster_is_examined_at_the_names_that_its_nodes_announce(
    cluster: SecuredCluster,
) -> None:
    """As behind a NAT: at those, and at no others; the certificate is for them."""
    announce(cluster, "localhost")
    found = await found_at(cluster.url)
    assert bad(found) == {}
    assert "a cluster of 3 primaries" in found["kind"].says

    announce(cluster, "nowhere.invalid")
    found = await found_at(cluster.url)
    assert bad(found) == {"connection": "fault"}
    assert "the cluster leads to nowhere.invalid:" in found["connection"].says
    assert "cluster-announce-hostname" in found["connection"].do


def announce(cluster: SecuredCluster, name: str) -> None:
    """Have the nodes name themselves to clients."""
    for node in cluster.nodes:
        node.do("CONFIG", "SET", "cluster-announce-hostname", name)
        node.do("CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname")

    def known() -> bool:
        replies = [node.do("CLUSTER", "SLOTS") for node in cluster.nodes]
        return all(repr(reply).count(name) >= 3 for reply in replies)

    wait_until(known, "all nodes know the names", 30)
