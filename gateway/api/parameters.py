"""Headers and query parameters of the AI SDK's transports and ours: parsers and checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from midstream.errors import ForbiddenError, InvalidRequestError
from midstream.ids import RunId, SessionId, TenantId, check_id, escaped
from midstream.protocol.position import Position
from midstream.protocol.vocabulary import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    STEERING_LEVEL,
    STEERING_SINCE,
)
from midstream.sessions.access import Role

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

    from midstream.sessions.access import Caller


VERSION_HEADER: Final = "x-ai-sdk-version"
MAX_ERROR_TEXT: Final = 2_000
"""Longest `errorText` that ends a run."""
RUN_PREFIX: Final = "run_"
"""Every run id of ours begins with it."""

_VERSION: Final = re.compile(r"v?(\d{1,3})(?:\.[0-9A-Za-z.+-]{0,64})?")
_EXACT: Final = re.compile(r"v?(\d{1,3})\.(\d{1,6})\.(\d{1,6})$")
_SEQUENCE: Final = re.compile(r"\d{1,15}")
_INDEX: Final = re.compile(r"-?\d{1,15}")


def session_id(value: str) -> SessionId:
    """Return a chat id from a path, checked."""
    return SessionId(check_id(value, "chat id"))


def run_id(value: str | None) -> RunId | None:
    """Return a run id from a request, checked."""
    return None if value is None else RunId(check_id(value, "run id"))


def wants_side(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the client asks for side runs, too: one that does not know them is not told."""
    return connection.query_params.get("side") == "true"


def client_level(connection: ASGIConnection[Any, Any, Any, Any], default: int) -> int:
    """Return the AI SDK's major version that the client says it is, else the default.

    From `?v=`, or `x-ai-sdk-version`. Versions that are newer than we know count as the
    newest one; what is older than 5 reads what 5 reads, or nothing.

    Raises:
        InvalidRequestError: not a version.
    """
    version = connection.query_params.get("v") or connection.headers.get(VERSION_HEADER)
    return default if version is None else level_of_version(version)


def level_of_version(version: str) -> int:
    """Return the level of a version of the AI SDK, `7` or `7.0.173`.

    Raises:
        InvalidRequestError: not a version.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise InvalidRequestError(
            "unable to read the client's version; it must be a version of the AI SDK, such as 7"
        )
    major = int(match[1])
    if major > HIGHEST_LEVEL or _is_later(version):
        return STEERING_LEVEL
    return max(LOWEST_LEVEL, major)


def _is_later(version: str) -> bool:
    """Whether it names a release with steering; a bare `7` does not."""
    exact = _EXACT.match(version)
    return exact is not None and tuple(map(int, exact.groups())) >= STEERING_SINCE


def client_of(request: ASGIConnection[Any, Any, Any, Any], caller: Caller) -> str:
    """Return a fingerprint that all requests of one page share, and few other pages have.

    Another tab of the same browser has the same one.
    """
    host = request.client.host if request.client is not None else ""
    agent = request.headers.get("user-agent", "")
    return f"{caller.tenant}|{caller.user}|{host}|{agent}"


def sequence_after(connection: ASGIConnection[Any, Any, Any, Any]) -> int | None:
    """Return the sequence of the last chunk that the client has, if it names one.

    From `?after=`, or `Last-Event-ID`.

    Raises:
        InvalidRequestError: not one that the gateway sent.
    """
    token = _last_seen(connection)
    if not token:
        return None
    if _SEQUENCE.fullmatch(token) is None:
        raise InvalidRequestError(
            "unable to read the position; it must be the id of a chunk that the gateway sent"
        )
    return int(token)


def position_after(connection: ASGIConnection[Any, Any, Any, Any]) -> Position | None:
    """Return the position in the log that the client has seen, if it names one.

    Raises:
        InvalidPositionError: not of the form `epoch:offset`.
    """
    token = _last_seen(connection)
    return Position.parse(token) if token else None


def wants_no_wait(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether a send is not to wait for its run: `prefer: respond-async` (RFC 7240)."""
    said = ",".join(connection.headers.getall("prefer", []))
    return any(
        each.partition(";")[0].strip().lower() == "respond-async" for each in said.split(",")
    )


def start_index(connection: ASGIConnection[Any, Any, Any, Any]) -> int | None:
    """Return `?startIndex=`, which may be negative: so many from the end.

    Raises:
        InvalidRequestError: not a number.
    """
    text = connection.query_params.get("startIndex")
    if text is None:
        return None
    if _INDEX.fullmatch(text) is None:
        raise InvalidRequestError("unable to read startIndex; it must be a whole number")
    return int(text)


def tenant(request: ASGIConnection[Any, Any, Any, Any], caller: Caller) -> TenantId:
    """Read whose people are meant: `?tenant=`, which admins alone may name; else the caller's.

    Raises:
        ForbiddenError: another tenant's.
    """
    named = request.query_params.get("tenant")
    wanted = caller.tenant if named is None else TenantId(escaped(named))
    if wanted != caller.tenant and caller.role is not Role.ADMIN:
        raise ForbiddenError("unable to do this in another tenant; that is for admins")
    return wanted


def number(
    connection: ASGIConnection[Any, Any, Any, Any], name: str, default: int | None
) -> int | None:
    """Return a query parameter that is a whole number from 1.

    Raises:
        InvalidRequestError: it is not.
    """
    text = connection.query_params.get(name)
    if text is None:
        return default
    if _SEQUENCE.fullmatch(text) is None or int(text) < 1:
        raise InvalidRequestError(f"unable to read {name}; it must be a whole number from 1")
    return int(text)


def split_workflow_id(value: str) -> tuple[str, str | None]:
    """Split `SESSION~RUN`, the id that we give `WorkflowChatTransport`; or a bare chat id."""
    session, tilde, run = value.rpartition("~")
    return (session, run) if tilde and run.startswith(RUN_PREFIX) else (value, None)


def _last_seen(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    return connection.query_params.get("after") or connection.headers.get("last-event-id")
