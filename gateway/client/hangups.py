"""Detects a wrong address by its hang-ups.

Two kinds of address hang up on a request without an answer. One is a server of another protocol:
Redis and PostgreSQL hang up on HTTP, a TLS server on a request without TLS. The other is a
forwarder (HAProxy, nginx, socat, a container's port) whose gateway is away. A silent connection
tells them apart: the forwarder closes it, too; the server keeps it open and waits for a request.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from midstream.client.errors import NotAGatewayError

TRIES: Final = 3
"""Hang-ups in a row before an address is probed."""

SILENCE_S: Final = 1.0
"""Time that a silent connection must stay open.

Only a hang-up within half of it counts. A forwarder that first waits for its gateway hangs up
later than that, and would keep a silent connection open as long."""

CONNECT_LIMIT_S: Final = 5.0


class Hangups:
    """Counts the hang-ups of one request's retries."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    async def look_at(self, url: str, *, asked_at: float) -> NotAGatewayError | None:
        """Count a hang-up of an open connection; return an error once the address is wrong.

        Args:
            asked_at: when the request began, by the monotonic clock, in seconds.
        """
        if time.monotonic() - asked_at > SILENCE_S / 2:
            self.forget(url)
            return None
        count = self._counts[url] = self._counts.get(url, 0) + 1
        if count > TRIES:
            return NotAGatewayError(
                f"unable to find a gateway at {url}; it hangs up on requests, and on nothing else. "
                "Check the address, and whether it is an https:// one"
            )
        if count == TRIES and not await _waits_to_be_told(url):
            self.forget(url)
        return None

    def forget(self, url: str) -> None:
        """Count from zero: the address has not hung up this time."""
        self._counts.pop(url, None)


async def _waits_to_be_told(url: str) -> bool:
    """Whether a silent connection to an address stays open."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_LIMIT_S):
            reader, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if is_tls else 80),
                ssl=_any_tls() if is_tls else None,
            )
        try:
            async with asyncio.timeout(SILENCE_S):
                await reader.read(1)
        except TimeoutError:
            return True
        finally:
            writer.transport.abort()
    return False


def _any_tls() -> ssl.SSLContext:
    """Return a context without verification, for a connection that carries no data."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
