"""Requests to whichever gateway answers. Every one may be sent again unchanged."""

from __future__ import annotations

import asyncio
import random
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.client.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import httpx2

CONNECT_LIMIT_S: Final = 5.0
ANSWER_LIMIT_S: Final = 10.0
"""Beyond what a request is held by intent: a gateway waits for Redis for half of that."""

DELAYS_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Between attempts. Never so long that a run's lease (8 s) is spent waiting."""

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


class Claim(Struct, kw_only=True, rename="camel"):
    """Answer to a claim; see docs/http-api.md."""

    run_id: str
    message_id: str
    fence: int = 0
    next: int = 0
    lease_ms: int = 8_000
    max_bytes: int = 8 * 1024 * 1024
    chunks: list[Raw] = []
    message: Raw | UnsetType = UNSET
    messages: list[Raw] = []
    stopped_by: str | None = None
    outcome: str | None = None


class Stored(Struct, kw_only=True, rename="camel"):
    """Answer to an append, a renewal or an end."""

    next: int = 0
    stopped_by: str | None = None


class Gateways:
    """One address or several, of gateways over the same sessions.

    Args:
        key: an agent key.
        outage_limit_s: how long a request is tried.
    """

    def __init__(self, urls: Sequence[str], key: str | None, outage_limit_s: float) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._headers = {} if key is None else {"x-midstream-key": key}
        self._outage_limit_s = outage_limit_s
        self._at = 0
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Gateways:
        # It reads certificates, and the library with all that it needs: not on the event loop.
        self._http = await asyncio.to_thread(self._connect)
        return self

    def _connect(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            headers=self._headers,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def post(
        self,
        target: str,
        content: bytes,
        *,
        user: str | None,
        held_s: float = 0.0,
        limit_s: float | None = None,
    ) -> bytes:
        """Send until there is an answer, and return its body.

        Args:
            target: path and query.
            held_s: how long the gateway may hold it.
            limit_s: instead of `outage_limit_s`.

        Raises:
            RefusedError: it cannot be served as it is.
            UnavailableError: no gateway answered in time.
        """
        if self._http is None:
            raise RuntimeError("the client is not open; use it as `async with Midstream(...)`")
        import httpx2

        headers = {} if user is None else {b"x-midstream-user": user.encode()}
        timeout = httpx2.Timeout(ANSWER_LIMIT_S + held_s, connect=CONNECT_LIMIT_S)
        until = time.monotonic() + (self._outage_limit_s if limit_s is None else limit_s)
        attempts = 0
        while True:
            at = self._at
            why = "none answered"
            try:
                answer = await self._http.post(
                    self._urls[at] + target, content=content, headers=headers, timeout=timeout
                )
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code == 200:
                    return answer.content
                refusal = _refusal(answer.status_code, answer.content)
                if answer.status_code < 500:
                    raise refusal
                why = refusal.message
            if self._at == at:
                self._at = (at + 1) % len(self._urls)
            delay_s = DELAYS_S[min(attempts, len(DELAYS_S) - 1)] * random.uniform(0.5, 1)  # noqa: S311 - no secret
            attempts += 1
            if time.monotonic() + delay_s > until:
                raise UnavailableError(f"unable to reach a gateway; {why}")
            await asyncio.sleep(delay_s)


def _refusal(status: int, body: bytes) -> RefusedError:
    try:
        error: dict[str, Any] = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
        return RefusedError(
            str(error["message"]), status=status, code=str(error["code"]), details=error
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        sentence = f"unable to write this run; the address answered with the status {status}"
        return RefusedError(sentence, status=status, code="", details=_NO_DETAILS)
