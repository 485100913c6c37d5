"""Examines what is before a gateway: whether streams, long heads, bodies and WebSockets pass it.

It follows a session that does not exist, as one who is not counted in its presence, and sends a
body that is no JSON. So nothing is stored, and no model is asked.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from msgspec import Struct

from midstream.doctor.socket import examine_socket
from midstream.doctor.way import UNAUTHORIZED, Way, said_by_gateway
from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Tell = Callable[[Verdict], None]

FIRST_BYTES_S: Final = 5.0
"""The gateway sends the first bytes of a stream at once."""
BEGINNING_S: Final = 0.5
"""What comes later than this after the first bytes is a heartbeat."""
HEAD_BYTES: Final = (4_000, 7_000, 15_000, 23_000)
"""Lengths of a field, and of a target. The gateway takes heads of 32 KB, and targets of 24 KB."""
NEEDED_BYTES: Final = 7_000
"""A token with a person's groups, a page's cookies, or `?follow=` of 64 sessions."""

_UNBUFFERED: Final = (
    "Switch off buffering and compression of text/event-stream (nginx: proxy_buffering off, and "
    "no gzip_types for it)"
)
_IDLE: Final = (
    "Raise the proxy's limit on idle responses to 60 s or more (nginx: proxy_read_timeout)"
)


async def examine_through(
    url: str, tell: Tell, *, token: str, hold_s: float, max_body_bytes: int
) -> None:
    """Examine the way to a gateway; what is found is told at once.

    Args:
        url: of the proxy: what `/api/chat` is appended to.
        token: sent as a bearer token, unless empty.
        hold_s: how long a stream and a WebSocket are held open.
        max_body_bytes: the largest body that the gateway takes.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=hold_s + 10)
    async with aiohttp.ClientSession(headers=headers, timeout=limit) as http:
        way = Way(http, url.rstrip("/"))
        reached = await _gateway(way)
        tell(reached)
        if reached.is_bad:
            return
        tell(await _heads(way))
        tell(await _targets(way))
        tell(await _bodies(way, max_body_bytes))
        async with asyncio.TaskGroup() as tasks:
            socket = tasks.create_task(examine_socket(way, hold_s), name="doctor's socket")
            async for verdict in _stream(way, hold_s):
                tell(verdict)
        tell(socket.result())


async def _gateway(way: Way) -> Verdict:
    """Judge whether a gateway is at the other end at all."""
    try:
        answer = await way.get("/livez")
        ready = await way.get("/readyz")
    except aiohttp.ClientConnectorCertificateError as error:
        return _unreached(f"the certificate is not trusted ({error.certificate_error})")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return _unreached(f"nothing answers ({error or type(error).__name__})")
    if answer.location:
        return _unreached(f"it redirects to {answer.location}", "Name that address")
    if answer.status != 200 or b'"status"' not in answer.body:
        return _unreached(
            f"/livez is answered with {answer.status}, and not by a gateway",
            "Start the gateway, and let the proxy pass /livez and /api to it",
        )
    if ready.status == 200:
        return Verdict("gateway", Level.OK, "a gateway answers, and could store a new run")
    said = said_by_gateway(ready.body)
    return Verdict(
        "gateway",
        Level.DANGER if said is None else Level.NOTE,
        "a gateway answers, but /readyz does not pass"
        if said is None
        else f"a gateway answers, and is not ready: {said.message}",
        "Let load balancers ask /readyz",
    )


def _unreached(says: str, do: str = "Check the address and the proxy's log") -> Verdict:
    return Verdict("gateway", Level.FAULT, f"no gateway can be reached: {says}", do)


async def _heads(way: Way) -> Verdict:
    """Judge how long a field of a request may be: it carries a token, or cookies."""

    async def passes(size: int) -> bool:
        return await way.passes("/livez", {"x-midstream-doctor": "a" * size})

    return _long("heads", "a header field", await _longest(passes), "large_client_header_buffers")


async def _targets(way: Way) -> Verdict:
    """Judge how long an address may be: it names the sessions that are followed."""

    async def passes(size: int) -> bool:
        return await way.passes(f"/livez?doctor={'a' * size}", {})

    return _long("addresses", "an address", await _longest(passes), "large_client_header_buffers")


async def _longest(passes: Callable[[int], Any]) -> int:
    """Return the longest of the lengths that pass; 0 if none does."""
    longest = 0
    for size in HEAD_BYTES:
        if not await passes(size):
            break
        longest = size
    return longest


def _long(subject: str, what: str, longest: int, nginx: str) -> Verdict:
    passing = f"{what} of {longest} bytes passes" if longest else f"not even {what} of 4 KB passes"
    if longest >= NEEDED_BYTES:
        return Verdict(subject, Level.OK, passing)
    return Verdict(
        subject,
        Level.DANGER,
        f"{passing}, and a longer one does not: requests with a long token, cookie or list of "
        "sessions fail",
        f"Allow 8 KB (nginx: {nginx})",
    )


async def _bodies(way: Way, max_body_bytes: int) -> Verdict:
    """Judge whether a message with files passes."""
    size = f"{max_body_bytes / 1_048_576:.0f} MB"
    try:
        answer = await way.post("/api/chat", b" " * max_body_bytes)
        refused = answer.status if said_by_gateway(answer.body) is None else None
    except (aiohttp.ClientError, OSError, TimeoutError):
        refused = 0
    if refused is None:
        return Verdict("bodies", Level.OK, f"a body of {size} passes")
    how = f"refused with {refused}" if refused else "cut off"
    return Verdict(
        "bodies",
        Level.DANGER,
        f"a body of {size}, which the gateway takes, is {how}: messages with files fail",
        "Allow as much as server.max_body_bytes (nginx: client_max_body_size)",
    )


class Heard(Struct, kw_only=True):
    """When an event stream said something, in seconds since it was asked for.

    Attributes:
        later_s: the first time that it did so clearly after its beginning.
        ended_s: when it ended; None while it goes on.
    """

    first_s: float | None = None
    later_s: float | None = None
    ended_s: float | None = None


async def _stream(way: Way, hold_s: float) -> AsyncIterator[Verdict]:
    """Judge whether events come when they are sent, and whether a silent stream is kept."""
    target = f"/api/chat/doctor-{secrets.token_hex(4)}/events?present=false"
    begun = time.monotonic()
    heard = Heard()
    try:
        async with way.open(target) as response:
            if response.status != 200:
                yield _refused("streams", response.status, await response.read())
                return
            yield _encoding(response.headers)
            await _hear(response, heard, begun, hold_s)
    except (aiohttp.ClientError, OSError, TimeoutError):
        heard.ended_s = time.monotonic() - begun
    for verdict in judge(heard, hold_s):
        yield verdict


async def _hear(
    response: aiohttp.ClientResponse, heard: Heard, begun: float, hold_s: float
) -> None:
    """Note what comes, until the time is over or the stream ends."""
    try:
        async with asyncio.timeout(hold_s):
            async for _ in response.content.iter_any():
                now_s = time.monotonic() - begun
                if heard.first_s is None:
                    heard.first_s = now_s
                elif heard.later_s is None and now_s - heard.first_s >= BEGINNING_S:
                    heard.later_s = now_s
            heard.ended_s = time.monotonic() - begun
    except TimeoutError:
        return


def judge(heard: Heard, hold_s: float) -> list[Verdict]:
    """Say what the times of a stream's bytes mean."""
    if heard.first_s is None or heard.first_s > FIRST_BYTES_S:
        when = "at all" if heard.first_s is None else f"for {heard.first_s:.0f} s"
        return [
            Verdict(
                "streams",
                Level.FAULT,
                f"a stream's first bytes, sent at once, did not come {when}: the proxy buffers, so "
                "answers come in one piece",
                _UNBUFFERED,
            )
        ]
    if heard.ended_s is not None:
        cut = f"a stream is cut after {heard.ended_s:.0f} s: readers reconnect again and again"
        return [_prompt(heard.first_s), Verdict("idle", Level.DANGER, cut, _IDLE)]
    if heard.later_s is None:
        return [
            Verdict(
                "streams",
                Level.DANGER,
                f"a stream began, and no heartbeat came for {hold_s:g} s: the proxy buffers, so "
                "answers come in pieces (or server.heartbeat_interval_s is longer than that)",
                _UNBUFFERED,
            )
        ]
    kept = f"a stream with little in it was kept for {hold_s:g} s"
    return [_prompt(heard.first_s), Verdict("idle", Level.OK, kept)]


def _prompt(first_s: float) -> Verdict:
    return Verdict(
        "streams",
        Level.OK,
        f"events come as they are sent, the first after {first_s * 1000:.0f} ms",
    )


def _encoding(headers: Any) -> Verdict:
    encoding = headers.get("content-encoding", "")
    if not encoding:
        return Verdict("compression", Level.OK, "event streams are not compressed")
    return Verdict(
        "compression",
        Level.NOTE,
        f"event streams are compressed ({encoding}), which holds small events back in some proxies",
        "Leave out text/event-stream",
    )


def _refused(subject: str, status: int, body: bytes) -> Verdict:
    said = said_by_gateway(body)
    if said is not None and said.code == UNAUTHORIZED:
        return Verdict(
            subject, Level.NOTE, "not tried: the gateway asks for a token", "Add --token"
        )
    if said is not None:
        return Verdict(
            subject, Level.FAULT, f"the gateway refuses a stream ({said.code}): {said.message}"
        )
    return Verdict(
        subject,
        Level.FAULT,
        f"a stream is answered with {status}, and not by the gateway",
        "Let the proxy pass /api to the gateway",
    )
