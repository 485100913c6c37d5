"""Our own errors, as a provider's SDK reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.api.proxy.errors import error_answer
from midstream.errors import RateLimitedError
from midstream.providers.anthropic.proxied import ANTHROPIC
from midstream.providers.openai.proxied import OPENAI

if TYPE_CHECKING:
    from midstream.providers.passthrough.api import ProxyVendor


@pytest.mark.parametrize(
    ("vendor", "reset_ms", "kind", "again"),
    [
        (ANTHROPIC, 1_500, "rate_limit_error", b"true"),
        (OPENAI, 1_500, "requests", b"true"),
        (OPENAI, 90_000, "requests", b"false"),
    ],
)
def test_reached_limit_is_a_providers_own_429(
    vendor: ProxyVendor, reset_ms: int, kind: str, again: bytes
) -> None:
    """SDKs send it again by themselves, unless they would come before there is room."""
    error = RateLimitedError("unable to", limit="open_runs", reset_ms=reset_ms)
    status, headers, body = error_answer(error, vendor)
    told = msgspec.json.decode(body)["error"]
    assert (status, told["type"], told["code"]) == (429, kind, "rate_limited")
    assert (told["limit"], told["resetMs"]) == ("open_runs", reset_ms)
    fields = dict(headers)
    assert fields[b"x-should-retry"] == again
    assert fields[b"retry-after"] == str(-(-reset_ms // 1000)).encode()
