"""Our errors in the vendor's format, so that its SDK reports them as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.api.failures import retry_after_of
from midstream.errors import RateLimitedError

if TYPE_CHECKING:
    from midstream.errors import GatewayError
    from midstream.providers.passthrough.api import ProxyVendor

SDK_WAIT_S: Final = 60
"""Longest `retry-after` that both SDKs obey; on a longer one they retry too early."""


def error_answer(
    error: GatewayError, vendor: ProxyVendor
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body of an error.

    Both SDKs obey `x-should-retry`; without it they would retry a 409.
    """
    status, body = error.http_status, vendor.error_body(error)
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
