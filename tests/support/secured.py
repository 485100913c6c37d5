"""A cluster, and Sentinels, with TLS and users: as the docs say, and with no right more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.support.processes import REPOSITORY
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_sentinels import NAME, Sentinels
from tests.support.tls_doors import TlsDoors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.redis_cluster import ClusterNode
    from tests.support.redis_kinds import Kind
    from tests.support.redis_sentinels import Replicated, Sentinel

USER: Final = "ms:a-secret"
WATCHER: Final = "watcher:another-secret"


def rules_in(page: str) -> list[str]:
    """Return the rules of an ACL user as a page of the docs has them."""
    text = (REPOSITORY / "docs" / page).read_text()
    (rules,) = re.findall(r"^resetkeys resetchannels ~ms:\* .*$", text, re.MULTILINE)
    return str(rules).split()


def rules_of_sentinels() -> list[str]:
    """Return the rules of the Sentinels' user as the docs have them."""
    text = " ".join((REPOSITORY / "docs" / "operations.md").read_text().split())
    (found,) = re.findall(r"The Sentinels' user needs (.*?)\. ?[#A-Z]", text)
    words = re.findall(r"`([^`]+)`", found)
    rights, announced = words[0].split(), words[1:]
    assert all(each.startswith("+") for each in (*rights, *announced))
    return ["resetchannels", "-@all", *rights, *(f"&{channel}" for channel in announced)]


class SecuredCluster(RedisCluster):
    """A cluster behind TLS, whose user `ms` has the rights that the docs name."""

    def __init__(self, folder: Path, kind: Kind, *, replicas: int = 1) -> None:
        self.doors = TlsDoors(folder)
        super().__init__(folder, kind, replicas=replicas, doors=self.doors)
        allow(self.nodes, *rules_in("cluster.md"))

    @property
    def url(self) -> str:
        """See RedisCluster."""
        return self.url_as(USER)

    def url_as(self, user: str, certificate: bool = True) -> str:
        """Return the URL of another user, or of one who does not know the certificate."""
        hosts = super().url.partition("://")[2]
        query = f"?{urlencode({'ssl_ca_certs': self.doors.certificate})}" if certificate else ""
        return f"rediss+cluster://{user}@{hosts}{query}"

    def denied(self) -> list[Any]:
        """Return what any node has refused to a user."""
        return denied_by(self.nodes)

    def end(self) -> None:
        """See RedisCluster."""
        super().end()
        self.doors.close()


class SecuredSentinels(Sentinels):
    """Sentinels behind TLS, with a user of their own; both users have what the docs name."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.doors = TlsDoors(folder)
        super().__init__(folder, kind, doors=self.doors)
        allow(self.servers, *rules_in("operations.md"))
        for sentinel in self.sentinels:
            sentinel.do(*user(WATCHER, *rules_of_sentinels()))

    @property
    def url(self) -> str:
        """See Sentinels."""
        return self.url_as(USER)

    def url_as(self, user: str, certificate: bool = True, watcher: str = WATCHER) -> str:
        """Return the URL of other users, or of one who does not know the certificate."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        name, _, password = watcher.partition(":")
        query = {"sentinel_username": name, "sentinel_password": password}
        if certificate:
            query["ssl_ca_certs"] = str(self.doors.certificate)
        return f"rediss+sentinel://{user}@{hosts}/{NAME}?{urlencode(query)}"

    def denied(self) -> list[Any]:
        """Return what any server or Sentinel has refused to a user."""
        return denied_by([*self.servers, *self.sentinels])

    def end(self) -> None:
        """See Sentinels."""
        super().end()
        self.doors.close()


def user(who: str, *rules: str) -> tuple[str, ...]:
    """Return the command that makes an ACL user, with its password behind a colon."""
    name, _, password = who.partition(":")
    return ("ACL", "SETUSER", name, "reset", "on", f">{password}", *rules)


def allow(servers: Iterable[ClusterNode | Replicated], *rules: str) -> None:
    """Let the user `ms` do so much, and nothing more."""
    for server in servers:
        server.client.execute_command(*user(USER, *rules))  # type: ignore[no-untyped-call]


def denied_by(servers: Iterable[ClusterNode | Replicated | Sentinel]) -> list[Any]:
    """Return what servers have refused for a missing right or a wrong password."""
    return [each for server in servers for each in server.client.acl_log()]
