"""An address that hangs up on requests, and says nothing.

Two things do so. A server that speaks something else: Redis and PostgreSQL hang up on HTTP, and a
TLS server on a request without TLS. And a forwarder (HAProxy, nginx, socat, a container's port)
while the gateway behind it is away. The forwarder hangs up on a connection on which nothing was
said, too; the server waits for what it will be told.
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
"""How often in a row an address must have hung up before it is looked at."""

SILENCE_S: Final = 1.0
"""How long a connection must stay open on which nothing is said.

A hang-up counts that comes in half of it: a forwarder that waits for its gateway first takes as
long without a request."""

CONNECT_LIMIT_S: Final = 5.0


class Hangups:
    """Counts them, for one request that is tried again and again."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    async def look_at(self, url: str, *, asked_at: float) -> NotAGatewayError | None:
        """Take one, of a connection that was open; return what it means once that is certain.

        Args:
            asked_at: monotonic, when the request began.
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
        """Begin again: the address has done something else."""
        self._counts.pop(url, None)


async def _waits_to_be_told(url: str) -> bool:
    """Whether a connection to an address stays open on which nothing is said."""
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
    """Return a context for a connection that carries nothing: it trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
