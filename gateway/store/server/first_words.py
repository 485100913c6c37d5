"""Finds out why a Redis cannot be talked to: what is at its address says something of itself.

Only asked when the store's own client has failed.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

from redis.asyncio.connection import ConnectKwargs, parse_url

from midstream.store.server.verdict import Level, Verdict

LIMIT_S: Final = 3.0
"""Longest wait for a connection, and for its first words."""

PING: Final = b"PING\r\n"
ASKS_FOR_TLS: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""PostgreSQL's SSLRequest, which only PostgreSQL answers by one letter."""

TLS: Final = "a server that wants TLS"
FIRST_WORDS: Final = (
    (b"HTTP/", "an HTTP server"),
    (b"<", "an HTTP server"),
    (b"\x15\x03", TLS),
    (b"SSH-", "an SSH server"),
    (b"ERROR\r\n", "memcached"),
    (b"220", "a mail or FTP server"),
)
"""What answers a PING, by the beginning of its answer."""
REDIS: Final = (b"+PONG", b"-")


async def explain(url: str) -> Verdict:
    """Say what is at the address of a Redis that cannot be reached."""
    address = parse_url(url)
    where = address.get("path") or f"{address.get('host', 'localhost')}:{address.get('port', 6379)}"
    try:
        await _open(address, tls=False)
        verdict = await _examine(url, where, address)
        await _open(address, tls=False)  # it may have gone away meanwhile
    except TimeoutError:
        return _away(f"nothing at {where} accepts a connection within {LIMIT_S:g} s")
    except OSError as error:
        return _away(f"nothing can be reached at {where} ({error.strerror or error})")
    return verdict


async def _examine(url: str, where: str, address: ConnectKwargs) -> Verdict:
    if url.startswith("rediss:"):
        return await _what_of_tls(where, address)
    return await _who(where, address)


async def _what_of_tls(where: str, address: ConnectKwargs) -> Verdict:
    try:
        await _open(address, tls=True)
    except ssl.SSLCertVerificationError as error:
        return Verdict(
            "connection",
            Level.FAULT,
            f"the certificate of {where} is not trusted ({error.verify_message})",
            "Add ?ssl_ca_certs=/path/to/ca.pem to the URL, or use the name that it is for",
        )
    except (OSError, TimeoutError):  # Redis waits for the end of a line
        return Verdict(
            "connection",
            Level.FAULT,
            f"{where} does not speak TLS",
            "Write redis:// instead of rediss://",
        )
    return _away(f"{where} speaks TLS, and is no Redis that can be used")


async def _who(where: str, address: ConnectKwargs) -> Verdict:
    heard = await _ask(address, PING)
    if heard.startswith(REDIS):
        return _away(f"the Redis at {where} does not answer in time")
    what = next((what for first, what in FIRST_WORDS if heard.startswith(first)), "")
    if not what and await _ask(address, ASKS_FOR_TLS) in (b"S", b"N"):
        what = "PostgreSQL"
    if not what and not heard:
        return Verdict(
            "connection",
            Level.FAULT,
            f"{where} accepts connections, and does not answer",
            "Check the port; if it wants TLS, write rediss:// instead of redis://",
        )
    return Verdict(
        "connection",
        Level.FAULT,
        f"{what or 'something else'} is at {where}, and no Redis",
        "Write rediss:// instead of redis://" if what == TLS else "Check the host and the port",
    )


def _away(says: str) -> Verdict:
    return Verdict("connection", Level.FAULT, says, "Check the host, the port and the firewall")


async def _ask(address: ConnectKwargs, words: bytes) -> bytes:
    """Return the first words that come back; none if there are none in time."""
    heard = b""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await _connect(address, tls=False)
            try:
                writer.write(words)
                heard = await reader.read(200)
            finally:
                await _leave(writer)
    return heard


async def _open(address: ConnectKwargs, *, tls: bool) -> None:
    """Open a connection, and close it."""
    async with asyncio.timeout(LIMIT_S):
        _, writer = await _connect(address, tls=tls)
        await _leave(writer)


async def _leave(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, without the other side's goodbye."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _connect(
    address: ConnectKwargs, *, tls: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = address.get("path")
    if path:
        return await asyncio.open_unix_connection(str(path))
    host, port = str(address.get("host", "localhost")), int(str(address.get("port", 6379)))
    context = None
    if tls:
        context = ssl.create_default_context(cafile=_text(address.get("ssl_ca_certs")))
        if address.get("ssl_cert_reqs") in ("none", ssl.CERT_NONE):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(host, port, ssl=context)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
