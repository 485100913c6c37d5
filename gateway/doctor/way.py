"""Requests on the way to a gateway, and who answers them: the gateway, or what is before it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

UNAUTHORIZED: Final = "unauthorized"

ANSWER_BYTES: Final = 64 * 1024
"""Most of an answer that is read."""


class HttpReply(Struct, frozen=True, kw_only=True):
    """An answer that is read to its end.

    Attributes:
        location: where a redirect leads; empty otherwise.
    """

    status: int
    body: bytes
    location: str = ""


class GatewaySaid(Struct, frozen=True):
    """An error of the gateway."""

    code: str
    message: str


class _Error(Struct, frozen=True):
    error: GatewaySaid


def said_by_gateway(body: bytes) -> GatewaySaid | None:
    """Return the gateway's error; None if somebody else has answered."""
    try:
        return msgspec.json.decode(body, type=_Error).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


class Way:
    """The way to a gateway: an address, and a client."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> HttpReply:
        """Make a request."""
        async with self._http.get(
            self.url + target, headers=headers, allow_redirects=False
        ) as response:
            return await _answer(response)

    async def post(self, target: str, body: bytes) -> HttpReply:
        """Send a body."""
        data = io.BytesIO(body)
        async with self._http.post(self.url + target, data=data, allow_redirects=False) as response:
            return await _answer(response)

    async def passes(self, target: str, headers: Mapping[str, str]) -> bool:
        """Whether a request reaches the gateway."""
        try:
            return (await self.get(target, headers)).status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def open(self, target: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Open a stream, as a browser does."""
        headers = {"accept": "text/event-stream", "accept-encoding": "gzip, deflate, br"}
        return self._http.get(self.url + target, headers=headers, allow_redirects=False)

    def socket(self, target: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket."""
        return self._http.ws_connect(self.url + target)


async def _answer(response: aiohttp.ClientResponse) -> HttpReply:
    return HttpReply(
        status=response.status,
        body=await response.content.read(ANSWER_BYTES),
        location=response.headers.get("location", "") if 300 <= response.status < 400 else "",
    )
