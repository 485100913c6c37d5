"""Failures of the providers: statuses, error types, and the bodies they put them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(Struct, frozen=True):
    """One way to fail, in both providers' words."""

    status: int
    anthropic_type: str
    openai_type: str
    openai_code: str | None
    message: str


KINDS: Mapping[str, Failure] = {
    "overloaded": Failure(
        529, "overloaded_error", "server_error", "server_is_overloaded", "Overloaded"
    ),
    "rate_limit": Failure(
        429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_exceeded", "Rate limit reached"
    ),
    "server": Failure(500, "api_error", "server_error", "server_error", "Internal server error"),
    "invalid": Failure(
        400, "invalid_request_error", "invalid_request_error", None, "Invalid request"
    ),
    "auth": Failure(
        401,
        "authentication_error",
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided",
    ),
    "permission": Failure(
        403, "permission_error", "invalid_request_error", None, "Not permitted for this key"
    ),
    "not_found": Failure(
        404, "not_found_error", "invalid_request_error", "model_not_found", "Not found"
    ),
    "too_large": Failure(
        413, "request_too_large", "invalid_request_error", None, "Request exceeds the maximum size"
    ),
    "quota": Failure(
        429,
        "rate_limit_error",
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota",
    ),
}

_BY_STATUS = {
    400: "invalid",
    401: "auth",
    403: "permission",
    404: "not_found",
    413: "too_large",
    429: "rate_limit",
    529: "overloaded",
}


class RequestError(Exception):
    """A request that is answered with an error status, in its provider's shape.

    Args:
        kind: one of `KINDS`.
        message: what the provider says; the kind's own words when absent.
        param: the field at fault, where the provider names one.
        status: when it is not the kind's own.
        error_code: the cause, in Anthropic's words (`error.details.error_code`).
    """

    def __init__(
        self,
        kind: str,
        message: str | None = None,
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        error_code: str | None = None,
    ) -> None:
        self.error_code = error_code
        self.failure = KINDS[kind]
        self.message = message or self.failure.message
        self.param = param
        self.status = status or self.failure.status
        self.retry_after_s = retry_after_s
        super().__init__(self.message)


def kind_of_status(status: int) -> str:
    """Return the kind that a bare status stands for."""
    return _BY_STATUS.get(status, "invalid" if status < 500 else "server")
