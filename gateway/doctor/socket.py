"""Examines whether a WebSocket passes what is before a gateway, and is kept while it is silent."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

import aiohttp

from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from midstream.doctor.way import Way

ANSWER_S: Final = 5.0
"""Longest wait for the answer to a frame."""

_UPGRADE: Final = (
    "Let the proxy pass WebSockets (nginx: proxy_http_version 1.1, and the headers upgrade and "
    "connection)"
)


async def examine_socket(way: Way, hold_s: float) -> Verdict:
    """Open a WebSocket, ask for a run that does not exist, wait, and ask once more."""
    held = False
    try:
        async with way.socket("/api/chat") as socket:
            await _ask(socket)
            held = True
            await asyncio.sleep(hold_s)
            await _ask(socket)
    except aiohttp.WSServerHandshakeError as error:
        return Verdict(
            "websocket",
            Level.DANGER,
            f"WebSockets do not pass (answered with {error.status}); server-sent events do",
            _UPGRADE,
        )
    except _ClosedError as closed:
        return _closed(closed, hold_s, held=held)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Verdict(
            "websocket",
            Level.DANGER,
            f"WebSockets do not pass ({error or type(error).__name__}); server-sent events do",
            _UPGRADE,
        )
    return Verdict(
        "websocket", Level.OK, f"a WebSocket answered, and again after {hold_s:g} s of silence"
    )


class _ClosedError(Exception):
    """The WebSocket was closed instead of answered."""

    def __init__(self, code: int | None) -> None:
        super().__init__(str(code))
        self.code = code


async def _ask(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Resume a run that does not exist, and wait for the answer."""
    name = f"doctor-{secrets.token_hex(4)}"
    await socket.send_json(
        {"type": "resume", "requestId": name, "id": name, "headers": {}, "body": {}}
    )
    async with asyncio.timeout(ANSWER_S):
        message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise _ClosedError(socket.close_code)


def _closed(closed: _ClosedError, hold_s: float, *, held: bool) -> Verdict:
    if held:
        return Verdict(
            "websocket",
            Level.DANGER,
            f"a WebSocket that is silent is cut within {hold_s:g} s",
            "Raise the proxy's limit on idle connections to 60 s or more (nginx: "
            "proxy_read_timeout)",
        )
    if closed.code is not None and closed.code >= 4000:
        return Verdict(
            "websocket",
            Level.NOTE,
            f"WebSockets pass; the gateway closed this one ({closed.code}) before it was used",
            "Add --token",
        )
    return Verdict("websocket", Level.DANGER, "a WebSocket is closed at once", _UPGRADE)
