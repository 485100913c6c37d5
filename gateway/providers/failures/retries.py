"""Refusals before an answer begins: the SDK retries, and waiting people are told.

The SDK does not report its retries. But each request has a header with the number of retries before
it; an event hook of the SDK's HTTP client reads that beside the response.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

RETRY_COUNT: Final = "x-stainless-retry-count"
LONGEST_WAIT_S: Final = 60.0
"""Both SDKs wait as long as they are told to, up to this; beyond, as they think right."""


class Retry(Struct, frozen=True):
    """A request that was refused, and will be made again.

    Attributes:
        status: of the refusal.
        after_s: when, if the provider has said so.
    """

    status: int
    after_s: float | None


_listener: ContextVar[Callable[[Retry], None] | None] = ContextVar("retry listener", default=None)


@contextmanager
def told_of_retries(tell: Callable[[Retry], None]) -> Iterator[None]:
    """Have `tell` called for each retry of the requests that are made in this context."""
    token = _listener.set(tell)
    try:
        yield
    finally:
        _listener.reset(token)


def retry_hooks(max_retries: int) -> dict[str, list[Any]]:
    """Return the event hooks of an SDK's HTTP client that retries so often."""

    async def look(response: httpx2.Response) -> None:
        tell = _listener.get()
        if tell is None or response.status_code < 400:
            return
        retry = retry_of(response, max_retries)
        if retry is not None:
            tell(retry)

    return {"response": [look]}


def retry_of(response: httpx2.Response, max_retries: int) -> Retry | None:
    """Return what an SDK does about a refusal; None: it gives up.

    Source: openai 3 and anthropic 2, `_base_client.py`, `_should_retry` and
    `_parse_retry_after_header`.
    """
    taken, status = response.request.headers.get(RETRY_COUNT, ""), response.status_code
    if not taken.isdecimal() or int(taken) >= max_retries:
        return None
    wish = response.headers.get("x-should-retry")
    if wish == "false" or (wish != "true" and status not in (408, 409, 429) and status < 500):
        return None
    milliseconds = _number(response.headers.get("retry-after-ms"))
    after_s = _number(response.headers.get("retry-after"))
    if milliseconds is not None:
        after_s = milliseconds / 1000
    return Retry(status, after_s if after_s is not None and 0 < after_s <= LONGEST_WAIT_S else None)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None  # a date: rare, and the wait is said without its length
