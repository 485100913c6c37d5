"""Checks of a request before it is served: host, origin, caller or agent.

Browsers let any page send a POST with `text/plain`, or open a WebSocket, to any address,
cookies included; and the gateway reads JSON whatever its declared type is, because one of
the AI SDK's transports declares `text/plain`. So the page's origin is checked, not only
CORS applied. A page can also rebind its own name to 127.0.0.1 and be of the same origin;
checking the host name ends that.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from midstream.api.auth.agent_keys import KEY_HEADER, USER_HEADER
from midstream.errors import ForbiddenError
from midstream.ids import ANONYMOUS
from midstream.limits.addresses import Addresses
from midstream.settings.sections import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from litestar.connection import ASGIConnection
    from litestar.types import HTTPScope, WebSocketScope

    from midstream.api.auth.agent_keys import AgentKeys
    from midstream.api.auth.tokens import Authenticator
    from midstream.sessions.access import Caller
    from midstream.settings.sections import Settings

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = "bearer "

LOCAL_PAGES: Final = ("http://localhost:*", "http://127.0.0.1:*")

PROBES: Final = frozenset({"/livez", "/readyz"})
"""Health checks of an orchestrator: it names an IP address, and learns nothing of sessions."""


class Gate:
    """Admits requests.

    Args:
        authenticator: identifies callers by their tokens.
        agent_keys: identifies agents, and the users that they act for.
        origins: patterns of other origins that may call; `*` stands for any text.
        hosts: names that requests may name; empty for any.
        cookie: name of a cookie that may hold the token, or empty.
        addresses: tells callers without credentials apart.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        agent_keys: AgentKeys,
        *,
        origins: Iterable[str],
        hosts: Iterable[str],
        cookie: str,
        addresses: Addresses | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._agent_keys = agent_keys
        self._origins = re.compile(origin_regex(origins))
        self._hosts = frozenset(hosts)
        self._cookie = cookie
        self._addresses = addresses or Addresses()

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """Return who calls.

        Raises:
            ForbiddenError: the page's origin is not ours.
            UnauthorizedError, KeysUnavailableError: from the authenticator.
        """
        self._check_origin(connection)
        caller = await self._authenticator.identify(self._token(connection))
        return self._placed(connection, caller) if caller.user == ANONYMOUS else caller

    def admit_agent(
        self, connection: ASGIConnection[Any, Any, Any, Any], *key_headers: str
    ) -> Caller:
        """Return for whom an agent calls.

        Its key is in `x-midstream-key`, else a bearer token, else in one of the others.

        Args:
            key_headers: other headers that may hold the key.

        Raises:
            ForbiddenError: the page's origin is not ours.
            UnauthorizedError: see `AgentKeys.identify`.
        """
        self._check_origin(connection)
        headers = connection.headers
        key = headers.get(KEY_HEADER) or _bearer(connection)
        for name in key_headers:
            key = key or headers.get(name)
        caller = self._agent_keys.identify(key, headers.get(USER_HEADER))
        return caller if caller.agent_key else self._placed(connection, caller)

    def _placed(self, connection: ASGIConnection[Any, Any, Any, Any], caller: Caller) -> Caller:
        """Return a caller without credentials, with their address."""
        client = connection.scope.get("client")
        forwarded = connection.headers.getall("x-forwarded-for", [])
        address = self._addresses.of(client[0] if client else None, ",".join(forwarded) or None)
        return replace(caller, address=address)

    def is_agent_key(self, value: str | None) -> bool:
        """Whether a header's value is one of our keys, which must not be forwarded."""
        return self._agent_keys.name_of(value) is not None

    def holds_agent_key(self, value: bytes) -> bool:
        """Whether one of our keys is anywhere in a value to forward; see `are_in`."""
        return self._agent_keys.are_in(value)

    def check_host(self, scope: HTTPScope | WebSocketScope) -> None:
        """Raise ForbiddenError unless the host that the request names is ours.

        Asked once, before any routing: a page that rebinds its name may ask for any address.
        """
        if not self._hosts or scope["path"].rstrip("/") in PROBES:
            return
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if _name_of(host.decode("latin-1")) not in self._hosts:
            raise ForbiddenError("unable to serve this host name; add it to `server.allowed_hosts`")

    def _check_origin(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        origin = connection.headers.get("origin")
        if origin is None or connection.scope.get("method") in _SAFE_METHODS:
            return
        same = urlsplit(origin).netloc == connection.headers.get("host")
        if not same and self._origins.fullmatch(origin) is None:
            raise ForbiddenError(
                "unable to accept requests of this page's origin; add it to `server.cors_origins`"
            )

    def _token(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """Return the token: header first, then cookie, then `?token=` where no header can be."""
        if (bearer := _bearer(connection)) is not None:
            return bearer
        if self._cookie and (cookie := connection.cookies.get(self._cookie)):
            return cookie
        if connection.scope.get("method", "GET") == "GET":
            return connection.query_params.get("token")
        return None


@lru_cache(maxsize=256)
def _name_of(host: str) -> str | None:
    """Return the name in a `host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _bearer(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    header = connection.headers.get("authorization", "")
    if header[: len(_BEARER)].lower() != _BEARER:
        return None
    return header[len(_BEARER) :].strip()


def origin_regex(patterns: Iterable[str]) -> str:
    """Return a regular expression that matches any of the patterns, whole."""
    alternatives = [re.escape(pattern).replace(r"\*", ".*") for pattern in patterns]
    return "|".join(alternatives) if alternatives else r"(?!)"


def page_origins(settings: Settings) -> tuple[str, ...]:
    """Return the patterns of other origins that may call; see `server.cors_origins`.

    Where a browser sends a cookie by itself, or the network reaches the gateway, a page of the
    user's own machine is a stranger's: any program there may serve one.
    """
    server = settings.server
    if server.cors_origins is not None:
        return server.cors_origins
    exposed = server.host not in LOOPBACK or server.insecure or bool(settings.auth.cookie)
    return () if exposed else LOCAL_PAGES


def served_hosts(settings: Settings) -> tuple[str, ...]:
    """Return the names that requests may name; see `server.allowed_hosts`."""
    server = settings.server
    if server.allowed_hosts:
        return server.allowed_hosts
    exposed = server.host not in LOOPBACK or settings.auth.mode != "none" or server.insecure
    return () if exposed else tuple(LOOPBACK)
