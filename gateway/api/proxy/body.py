"""Body of a proxied request, and the disconnect of its caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from midstream.errors import TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from litestar.types import HTTPRequestEvent, Receive

    from midstream.errors import GatewayError


class GoneError(Exception):
    """The caller has left, or does not read."""


class RequestBody:
    """Reads `receive` alone: first the body, then the caller's disconnect.

    Args:
        limit_bytes: of the body.

    Attributes:
        failure: set if it could not be read to its end.
    """

    def __init__(
        self, receive: Receive, headers: Iterable[tuple[bytes, bytes]], limit_bytes: int
    ) -> None:
        self.failure: GatewayError | None = None
        self._gone = False
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._size = 0
        self._complete = asyncio.Event()
        for name, value in headers:
            if name == b"content-length" and int(value) > limit_bytes:
                self.failure = _too_large(limit_bytes)

    async def open(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body: bytes if it has arrived whole, None if there is none.

        Raises:
            TooLargeError: its `content-length` is over the limit.
            GoneError: the caller has left.
        """
        if self.failure is not None:
            raise self.failure
        first, more = await self._next()
        if more:
            return self._pieces(first)
        self._complete.set()
        return first or None

    async def read(self) -> bytes:
        """Return all of it.

        Raises:
            TooLargeError, GoneError.
        """
        body = await self.open()
        if body is None or isinstance(body, bytes):
            return body or b""
        return b"".join([piece async for piece in body])

    async def until_gone(self) -> None:
        """Return when the caller leaves. Only the end of the body may be read meanwhile."""
        await self._complete.wait()
        while not self._gone:
            self._gone = (await self._receive())["type"] == "http.disconnect"

    async def _pieces(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            piece, more = first, True
            while True:
                if piece:
                    yield piece
                if not more:
                    return
                piece, more = await self._next()
        finally:
            self._complete.set()

    async def _next(self) -> tuple[bytes, bool]:
        message = cast("HTTPRequestEvent", await self._receive())
        if message["type"] != "http.request":
            self._gone = True
            raise GoneError("disconnected")
        piece = message.get("body", b"")
        self._size += len(piece)
        if self._size > self._limit_bytes:
            self.failure = _too_large(self._limit_bytes)
            raise self.failure
        return piece, bool(message.get("more_body", False))


def _too_large(limit_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"unable to forward the request; its body is over {limit_bytes} bytes, the limit of the "
        "gateway's settings"
    )
