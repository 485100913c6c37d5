"""The URL of Redis, as a value: which servers, how they are found, and who we are there.

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]          one server
    rediss://…                                              the same, over TLS
    unix://[USER:PASSWORD@]/PATH                            the same, on this machine
    redis+cluster://[USER:PASSWORD@]HOST[:PORT][,…]         a cluster, by some of its nodes
    rediss+cluster://…                                      the same, over TLS
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,…]/NAME   the primary that Sentinels call NAME
    rediss+sentinel://…                                     the same, all over TLS

User and password are those of the servers that keep sessions. Sentinels have their own, in the
query: `?sentinel_username=…&sentinel_password=…`. With TLS, `?ssl_ca_certs=/path/to/ca.pem` names
who signs the certificates of all servers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import parse_qs, quote, unquote, urlsplit

from msgspec import Struct

from midstream.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379

FORMS: Final = (
    "redis://, rediss:// or unix://, redis+cluster:// or rediss+cluster://, redis+sentinel:// or "
    "rediss+sentinel://"
)
CLUSTER_FORM: Final = "redis+cluster://HOST:PORT,HOST:PORT"
SENTINEL_FORM: Final = "redis+sentinel://HOST:PORT,HOST:PORT/NAME"

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
"""What Sentinels take as the name of a primary."""

_CA_CERTS: Final = "ssl_ca_certs"
_SENTINEL_QUERY: Final = ("sentinel_username", "sentinel_password", _CA_CERTS)


class Address(Struct, frozen=True):
    """A host, by its name or number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def url(self, *, tls: bool, secret: str = "", ca_certs: str = "") -> str:
        """Return the URL of the server there, without database.

        Args:
            secret: user and password with `@`; empty: neither.
            ca_certs: file of those who sign its certificate.
        """
        query = f"?{_CA_CERTS}={quote(ca_certs)}" if ca_certs else ""
        return f"{'rediss' if tls else 'redis'}://{secret}{self}{query}"


class Credentials(Struct, frozen=True):
    """Who we are; both are empty for the default user without a password."""

    user: str = ""
    password: str = ""


class SingleUrl(Struct, frozen=True, tag="single"):
    """One server. `text`: the URL as it was written."""

    text: str


class ClusterUrl(Struct, frozen=True, kw_only=True, tag="cluster"):
    """A cluster. `seeds`: some of its nodes; one that answers names the others.

    `ca_certs`: as of `SentinelUrl`.
    """

    seeds: tuple[Address, ...]
    credentials: Credentials = Credentials()
    tls: bool = False
    ca_certs: str = ""

    @property
    def servers(self) -> tuple[Address, ...]:
        """The addresses in it."""
        return self.seeds


class SentinelUrl(Struct, frozen=True, kw_only=True, tag="sentinel"):
    """A primary, by the name that its Sentinels know it by.

    `ca_certs`: file of those who sign the certificates; empty: those that the system trusts.
    """

    sentinels: tuple[Address, ...]
    name: str
    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    tls: bool = False
    ca_certs: str = ""

    @property
    def servers(self) -> tuple[Address, ...]:
        """The addresses in it."""
        return self.sentinels


RedisUrl: TypeAlias = SingleUrl | ClusterUrl | SentinelUrl


def parse_redis_url(text: str) -> RedisUrl:
    """Read a URL.

    Raises:
        SettingsError: it is none of the forms above. The sentence names no password.
    """
    scheme, separator, rest = text.partition("://")
    base, _, kind = scheme.partition("+")
    if not separator or base not in ("redis", "rediss") or kind not in ("cluster", "sentinel"):
        if scheme in ("redis", "rediss", "unix") and separator:
            return SingleUrl(text)
        raise _wrong(f"it must begin with {FORMS}")
    return _several(kind, rest, tls=base == "rediss")


def _several(
    kind: Literal["cluster", "sentinel"] | str, rest: str, *, tls: bool
) -> ClusterUrl | SentinelUrl:
    parts = urlsplit(f"//{rest}")
    if "@" in rest.removeprefix(parts.netloc):
        raise _wrong("write / as %2F, ? as %3F and # as %23 in its password")
    who, _, hosts = parts.netloc.rpartition("@")
    path = unquote(parts.path).strip("/")
    query = _query(parts.query)
    if kind == "cluster":
        if path not in ("", "0"):
            raise _wrong(f"a cluster has database 0 alone: write {CLUSTER_FORM}")
        _only((_CA_CERTS,), query, "a cluster's")
        return ClusterUrl(
            seeds=_addresses(hosts, REDIS_PORT, CLUSTER_FORM),
            credentials=_credentials(who),
            tls=tls,
            ca_certs=_ca_certs(query, tls=tls),
        )
    if not _NAME.fullmatch(path):
        raise _wrong(f"it must end with the name that the Sentinels watch: {SENTINEL_FORM}")
    _only(_SENTINEL_QUERY, query, "a Sentinel's")
    user, password = (query.get(name, "") for name in _SENTINEL_QUERY[:2])
    return SentinelUrl(
        sentinels=_addresses(hosts, SENTINEL_PORT, SENTINEL_FORM),
        name=path,
        credentials=_credentials(who),
        sentinel_credentials=Credentials(user, password),
        tls=tls,
        ca_certs=_ca_certs(query, tls=tls),
    )


def _only(known: Collection[str], query: Collection[str], whose: str) -> None:
    for name in sorted(query):
        if name not in known:
            raise _wrong(f"{name} is no parameter of {whose} URL")


def _ca_certs(query: Mapping[str, str], *, tls: bool) -> str:
    """Return the file that the query names; without TLS nobody would look at it."""
    if _CA_CERTS in query and not tls:
        raise _wrong(f"{_CA_CERTS} is for TLS: write rediss+ instead of redis+")
    return query.get(_CA_CERTS, "")


def _query(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _credentials(who: str) -> Credentials:
    user, _, password = who.partition(":")
    return Credentials(unquote(user), unquote(password))


def _addresses(hosts: str, port: int, form: str) -> tuple[Address, ...]:
    found = tuple(_address(each.strip(), port, form) for each in hosts.split(","))
    return tuple(dict.fromkeys(found))


def _address(text: str, default_port: int, form: str) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        port = 0
    if not text or port == 0 or not parts.hostname or parts.netloc != text:
        raise _wrong(f"{text!r} is no host and port: write {form}")
    return Address(parts.hostname, default_port if port is None else port)


def _wrong(why: str) -> SettingsError:
    return SettingsError(f"unable to use the setting `redis.url`; {why}")
