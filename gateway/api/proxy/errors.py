"""Our errors in the provider's format, so that its SDK reports them as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import json

from midstream.api.failures import retry_after_of
from midstream.errors import RateLimitedError

if TYPE_CHECKING:
    from midstream.errors import GatewayError

_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}

SDK_WAIT_S: Final = 60
"""Longest `retry-after` that both SDKs obey; on a longer one they retry too early."""


def error_answer(
    error: GatewayError, *, anthropic: bool
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body of an error.

    Both SDKs obey `x-should-retry`; without it they would retry a 409.
    """
    status = error.http_status
    if anthropic:
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        told = {**error.details, "type": kind, "code": error.code, "message": error.message}
        body = json.encode({"type": "error", "error": told})
    else:
        kind = "invalid_request_error" if status < 500 else "server_error"
        if status == 429:
            kind = "requests"  # what of it there are too many, in OpenAI's words
        told = {
            **error.details,
            "code": error.code,
            "type": kind,
            "message": error.message,
        }
        body = json.encode({"error": {**told, "param": None}})
    again = error.temporary and (
        status >= 500 or (isinstance(error, RateLimitedError) and error.retry_after_s <= SDK_WAIT_S)
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-midstream-error", error.code.encode()),
        (b"x-should-retry", b"true" if again else b"false"),
    ]
    if (retry_after := retry_after_of(error)) is not None:
        headers.append((b"retry-after", retry_after.encode()))
    return status, headers, body
