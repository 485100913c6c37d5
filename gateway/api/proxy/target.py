"""Target of a request to `/proxy`, and the headers that are forwarded to it.

The host is always the provider's. Only a path and a query come from the request, and a path that
the provider could read as another one is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from midstream.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Header: TypeAlias = tuple[bytes, bytes]

PREFIX: Final = b"/proxy/"

_OF_ONE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Hop-by-hop headers (RFC 9110 §7.6.1 and its predecessors)."""

_NOT_UPSTREAM: Final = _OF_ONE_CONNECTION | {
    b"host",
    b"expect",  # answered here
    b"cookie",
    b"forwarded",
    b"via",
    b"x-real-ip",
}
_NOT_UPSTREAM_PREFIXES: Final = (b"x-midstream-", b"x-forwarded-")

_NOT_BACK: Final = _OF_ONE_CONNECTION | {
    b"date",  # our server writes its own
    b"alt-svc",  # names other ports of the provider's host: it would be taken for ours
}

_SEGMENT: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@%]*")
# Characters that some server decodes before it splits the path, or takes for a line end: a slash, a
# backslash, a dot, a percent sign, a control.
_ENCODED_TRAP: Final = re.compile(rb"%(?:2[eEfF5]|5[cC]|[01][0-9A-Fa-f]|7[fF])")
_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_QUERY: Final = re.compile(rb"[!-~]*")


class Target(Struct, frozen=True):
    """A provider's name, and a path and query below it: ASCII, as on the wire.

    `path` has no leading slash.
    """

    provider: str
    path: str
    query: str


def read_target(scope: Mapping[str, Any]) -> Target:
    """Return the target of an HTTP request to `/proxy/NAME/...`.

    Raises:
        InvalidRequestError: its path could mean different things to different servers.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    root: bytes = scope.get("root_path", "").encode()
    below = raw.removeprefix(root) if root and raw.startswith(root + PREFIX) else raw
    if not below.startswith(PREFIX):
        raise _refused()
    provider, _, path = below.removeprefix(PREFIX).partition(b"/")
    segments = path.split(b"/")
    last = len(segments) - 1
    for index, segment in enumerate((provider, *segments), -1):
        if _SEGMENT.fullmatch(segment) is None or _ENCODED.search(segment):
            raise _refused()
        if segment in (b".", b"..") or _ENCODED_TRAP.search(segment):
            raise _refused()
        if not segment and index != last:
            raise _refused()
    query: bytes = scope.get("query_string", b"")
    if _QUERY.fullmatch(query) is None or b"#" in query:
        raise _refused()
    return Target(provider.decode(), path.decode(), query.decode())


def request_headers(headers: Iterable[Header]) -> list[Header]:
    """Return the headers to forward to the provider, in order.

    Raises:
        InvalidRequestError: one of them cannot be forwarded unchanged.
    """
    listed = list(headers)
    dropped = _NOT_UPSTREAM | _named_by_connection(listed)
    kept = []
    for name, value in listed:
        if name in dropped or name.startswith(_NOT_UPSTREAM_PREFIXES):
            continue
        try:
            value.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(
                "unable to forward a header; its value is not UTF-8"
            ) from None
        kept.append((name, value))
    return kept


def response_headers(headers: Sequence[Header]) -> list[Header]:
    """Return the headers to forward to the caller, unchanged in order, case and bytes."""
    dropped = _NOT_BACK | _named_by_connection(headers)
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        dropped |= {b"content-length"}
    return [each for each in headers if each[0].lower() not in dropped]


def _named_by_connection(headers: Iterable[Header]) -> frozenset[bytes]:
    """Return the headers that `connection` names as of this hop, and the body's length."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    return frozenset(named - {b"content-length"})


def _refused() -> InvalidRequestError:
    return InvalidRequestError(
        "unable to forward this path; it must be /proxy/PROVIDER/..., without empty, `.` or `..` "
        "parts, and without encoded slashes, dots or controls"
    )
