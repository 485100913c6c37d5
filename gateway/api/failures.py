"""Translation of every failure into one `GatewayError`, and its JSON.

Nothing of an unexpected exception reaches a client: it gets a request id that is in the log.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from litestar.exceptions import HTTPException
from msgspec import json

from midstream.api.pages import is_visit, not_found_page
from midstream.errors import (
    ForbiddenError,
    GatewayError,
    InvalidRequestError,
    RateLimitedError,
    TooLargeError,
    UnauthorizedError,
)
from midstream.protocol.errors import OversizedError, RemoteProtocolError
from midstream.telemetry import ERRORS, SENDS_REFUSED

if TYPE_CHECKING:
    from litestar import Request
    from litestar.types import ExceptionHandlersMap

logger = logging.getLogger(__name__)

ERROR_HEADER: Final = "x-midstream-error"
"""Header with the code, where the body is a sentence."""

RETRY_AFTER_S: Final = "1"
"""`retry-after` of temporary errors: another process serves the address by then."""


class InternalError(GatewayError):
    """A bug. The sentence only names its place in the log."""


class RouteNotFoundError(GatewayError):
    """No such address."""

    code = "not_found"
    http_status = 404


class MethodNotAllowedError(GatewayError):
    """The address knows other methods."""

    code = "method_not_allowed"
    http_status = 405


class TooManyRequestsError(GatewayError):
    """More open streams on one WebSocket than it may have."""

    code = "too_many_requests"
    http_status = 429
    temporary = True


_BY_STATUS: Final[dict[int, tuple[type[GatewayError], str]]] = {
    400: (InvalidRequestError, "unable to read the request; see docs/http-api.md"),
    401: (UnauthorizedError, "unable to identify the caller; send a bearer token"),
    403: (ForbiddenError, "unable to allow the request"),
    404: (RouteNotFoundError, "unable to find this address; see docs/http-api.md"),
    405: (MethodNotAllowedError, "unable to use this method here; see docs/http-api.md"),
    413: (TooLargeError, "unable to take the request; its body is over the limit"),
}


def as_gateway_error(error: BaseException) -> GatewayError:
    """Return the public form of any exception; logs the ones that are bugs."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, OversizedError):
        return TooLargeError(str(error))
    if isinstance(error, RemoteProtocolError):
        return InvalidRequestError(str(error))
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        kind, sentence = _BY_STATUS[error.status_code]
        return kind(sentence)
    request_id = f"req_{secrets.token_hex(8)}"
    logger.error("internal_error request=%s", request_id, exc_info=error)
    return InternalError(
        f"unable to continue because of a fault in the gateway; its log has it as {request_id}",
        requestId=request_id,
    )


def error_body(error: GatewayError) -> bytes:
    """Return `{"error": {"code", "message", "temporary", …details}}`."""
    return json.encode(
        {
            "error": {
                **error.details,
                "code": error.code,
                "message": error.message,
                "temporary": error.temporary,
            }
        }
    )


def retry_after_of(error: GatewayError) -> str | None:
    """Return the header's value: after how many seconds the same request may succeed."""
    if isinstance(error, RateLimitedError):
        return str(error.retry_after_s)
    return RETRY_AFTER_S if error.http_status == 503 else None


def answer_failure(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer a failed request; Litestar's exception handler for everything."""
    failure = as_gateway_error(error)
    if isinstance(failure, RouteNotFoundError) and is_visit(request):
        return not_found_page()
    ERRORS.labels(failure.code).inc()
    if request.method == "POST" and request.scope["path"].rstrip("/") == "/api/chat":
        SENDS_REFUSED.labels(failure.code).inc()
    headers = {}
    if (retry_after := retry_after_of(failure)) is not None:
        headers["retry-after"] = retry_after
    if isinstance(failure, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    if _shows_what_it_gets(request):
        return Response(
            failure.message,
            status_code=failure.http_status,
            media_type="text/plain",
            headers={**headers, ERROR_HEADER: failure.code},
        )
    return Response(
        error_body(failure),
        status_code=failure.http_status,
        media_type="application/json",
        headers=headers,
    )


def _shows_what_it_gets(request: Request[Any, Any, Any]) -> bool:
    """Return whether a page of the AI SDK's own transports asks: it shows the body as the error.

    Pages that read our errors ask for JSON, as the package does.
    """
    path, method, headers = request.scope["path"].rstrip("/"), request.method, request.headers
    is_chat = (method == "POST" and path == "/api/chat") or (
        method == "GET" and path.startswith("/api/chat/") and path.endswith("/stream")
    )
    is_page = "origin" in headers or "sec-fetch-site" in headers
    return is_chat and is_page and "application/json" not in headers.get("accept", "")


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    **dict.fromkeys(_BY_STATUS, answer_failure),
    Exception: answer_failure,
}
