"""The streaming shell: a reader's items become one response body, written as they arrive.

Litestar routes the request and writes the response's head; the body is written to the server's own
`send` once Litestar is done (`exchange.py`). Most streams are idle most of the time: what one holds
then is its connection, one task, and its place at the end of the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from midstream.api.streaming.departure import DepartedError, Departure
from midstream.api.streaming.direct_write import direct_write
from midstream.api.streaming.exchange import Exchange
from midstream.errors import GatewayError, TokenExpiredError
from midstream.protocol.sse import DONE, HEARTBEAT
from midstream.protocol.v4 import V4_HEARTBEAT
from midstream.sessions.types import Idle
from midstream.telemetry import READERS, READERS_GONE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from litestar.types import HTTPResponseStartEvent, Receive, Scope, Send

    from midstream.aio.idle_timeout import IdleTimeout
    from midstream.limits.holds import Hold

logger = logging.getLogger(__name__)

Item = TypeVar("Item", covariant=True)
T = TypeVar("T")
E = TypeVar("E", bound=Exception)


class Reader(Protocol[Item]):
    """Source of a stream: a `RunReader` or a `FeedReader`."""

    async def __aenter__(self) -> object: ...
    async def __aexit__(self, *exc: object) -> object: ...
    def __aiter__(self) -> AsyncIterator[Item | Idle]: ...

    def write_to(self, sink: Callable[[Item], bool]) -> None:
        """See RunReader."""
        ...


class StreamCutError(Exception):
    """Raised by an encoder: write `data`, then break off, so that the client sees a failure."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


class Framing(Struct, frozen=True, kw_only=True):
    """Framing of a stream: its bytes besides the items.

    Attributes:
        heartbeat: sent at once and while idle; empty where the encoding has none.
        last: ends a complete stream.
    """

    media_type: str
    heartbeat: bytes
    last: bytes


RUN_EVENTS: Final = Framing(media_type="text/event-stream", heartbeat=HEARTBEAT, last=DONE)
FEED_EVENTS: Final = Framing(media_type="text/event-stream", heartbeat=HEARTBEAT, last=b"")
DATA_STREAM: Final = Framing(
    media_type="text/plain; charset=utf-8", heartbeat=V4_HEARTBEAT, last=b""
)
PLAIN_TEXT: Final = Framing(media_type="text/plain; charset=utf-8", heartbeat=b"", last=b"")


CLOSED: Final = b'event: closed\ndata: {"code":"%b"}\n\n' % TokenExpiredError.code.encode()
"""Ends a feed whose client must reconnect with another token."""

FAR_S: Final = 30 * 86_400
"""A timer beyond the life of any process is left out."""


def loop_time_of(moment: float | None) -> float | None:
    """Return the event loop's time of a moment, in seconds since 1970; None if it is far away."""
    left_s = FAR_S if moment is None else moment - time.time()
    return None if left_s >= FAR_S else asyncio.get_running_loop().time() + left_s


class _SlowError(Exception):
    """The client does not read."""


class StreamResponse(Generic[T]):
    """An ASGI application that writes one reader's items.

    It writes the head, and leaves the body for when the routes have returned: see `Exchange`.

    Args:
        reader: not entered yet.
        encode: an item's bytes; empty ones are skipped. May raise StreamCutError.
        framing: of the encoding.
        headers: besides the framing's.
        deadline: for the client to read one write; all streams may share one.
        kind: names the stream in metrics: `run` or `feed`.
        expires_at: time of a `closed` event that ends it, in seconds since 1970. None: never.
        hold: its place among the caller's open streams; given back at its end.
    """

    def __init__(
        self,
        reader: Reader[T],
        encode: Callable[[T], bytes],
        framing: Framing,
        *,
        headers: Mapping[str, str],
        deadline: IdleTimeout,
        kind: str,
        expires_at: float | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._media_type = framing.media_type
        self._headers = headers
        self._body = _Body(reader, encode, framing, deadline, kind, expires_at, hold)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the head; then leave the body, or write it if nobody else will."""
        try:
            await send(self._head())
        except BaseException:
            await self._body.leave()
            raise
        if (exchange := Exchange.of(scope)) is not None:
            exchange.body = self._body
        else:
            await self._body.write(receive, send)

    def _head(self) -> HTTPResponseStartEvent:
        headers = {
            "content-type": self._media_type,
            "cache-control": "no-cache, no-transform",
            # nginx and others buffer responses unless told otherwise.
            "x-accel-buffering": "no",
            **self._headers,
        }
        encoded = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()
        ]
        return {"type": "http.response.start", "status": 200, "headers": encoded}


class _Body(Generic[T]):
    """The body.

    The first bytes go out at once, before the first item. The response ends cleanly only
    when the reader does. When the reader raises, or the client does not read within the
    deadline, it is broken off. The run is not affected.
    """

    __slots__ = (
        "_deadline",
        "_encode",
        "_expires_at",
        "_framing",
        "_hold",
        "_kind",
        "_reader",
        "_writing",
    )

    def __init__(
        self,
        reader: Reader[T],
        encode: Callable[[T], bytes],
        framing: Framing,
        deadline: IdleTimeout,
        kind: str,
        expires_at: float | None,
        hold: Hold | None,
    ) -> None:
        if hold is not None:
            hold.keep()
        self._hold = hold
        self._reader = reader
        self._encode = encode
        self._framing = framing
        self._deadline = deadline
        self._kind = kind
        self._expires_at = expires_at

    async def leave(self) -> None:
        """Let go of the reader and of the hold."""
        try:
            async with self._reader:
                pass
        finally:
            if self._hold is not None:
                self._hold.release()

    async def write(self, receive: Receive, send: Send) -> None:
        """Write the body; returns when it is complete or broken off."""
        readers = READERS.labels(self._kind)
        readers.inc()
        try:
            async with self._reader:
                with (
                    Departure(receive) as client,
                    closing(self._deadline.waiter()) as self._writing,
                ):
                    if self._expires_at is None:
                        await self._write_items(send)
                    else:
                        await self._write_until_expiry(self._expires_at, send)
                    client.allow()
                    await self._write(send, self._framing.last, more=False)
        except* DepartedError:
            self._gone("disconnected")
        except* _SlowError:
            self._gone("slow")
        except* GatewayError as failed:
            self._gone(first_of(failed).code)
        except* StreamCutError:
            self._gone("failed")
        finally:
            readers.dec()
            if self._hold is not None:
                self._hold.release()

    async def _write_until_expiry(self, expires_at: float, send: Send) -> None:
        try:
            async with asyncio.timeout_at(loop_time_of(expires_at)) as limit:
                await self._write_items(send)
        except TimeoutError:
            if not limit.expired():
                raise
            READERS_GONE.labels(TokenExpiredError.code).inc()
            await self._write(send, CLOSED)

    async def _write_items(self, send: Send) -> None:
        framing, encode = self._framing, self._encode
        if framing.heartbeat:
            await self._write(send, framing.heartbeat)
        if (write := direct_write(send, encode)) is not None:
            self._reader.write_to(write)
        async for item in self._reader:
            try:
                data = framing.heartbeat if isinstance(item, Idle) else encode(item)
            except StreamCutError as cut:
                await self._write(send, cut.data)
                raise
            if data:
                await self._write(send, data)

    async def _write(self, send: Send, data: bytes, *, more: bool = True) -> None:
        try:
            with self._writing:
                await send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            raise _SlowError from None

    def _gone(self, reason: str) -> None:
        """Count a stream that ended early; returning without a last body breaks it off."""
        READERS_GONE.labels(reason).inc()
        logger.debug("stream_gone reason=%s kind=%s", reason, self._kind)


def first_of(group: BaseExceptionGroup[E]) -> E:
    """Return the first leaf error of a group."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
