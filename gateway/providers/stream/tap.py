"""A body read by call: no task has to wake for what the network brings.

Both SDKs answer through aiohttp. While a body is read by call, its connection's transport has the
protocol that is here. That takes whole chunks of HTTP out of the stream, so that aiohttp's parser
never sees them. Everything else it passes on to aiohttp: halves of chunks, the body's end, its
loss. So proxies, TLS, the pool and the parser stay aiohttp's, and the response's own iterator can
continue wherever a tap has stopped.

What this takes of aiohttp is not public. A body of another shape is not read by call, and a test of
this module fails when aiohttp, or what the SDKs put around it, takes another one.
"""

from __future__ import annotations

import asyncio
import re
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler

_CHUNK_HEAD: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
"""aiohttp reads what else a head may be."""

enabled: bool = True
"""Tests clear it to have every body iterated, as with an aiohttp of another shape."""


class Body(NamedTuple):
    """A body that can be read by call: where aiohttp keeps it, and its connection's protocol."""

    reader: StreamReader
    handler: ResponseHandler


def body_of(response: httpx2.Response) -> Body | None:
    """Return what can be read by call of a response; None if it is not aiohttp's plain body."""
    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler

    if not enabled or "content-encoding" in response.headers:
        return None
    of_the_sdk = getattr(response.stream, "_stream", None)
    of_aiohttp = getattr(of_the_sdk, "_aiohttp_response", None)
    reader = getattr(of_aiohttp, "content", None)
    handler = getattr(getattr(of_aiohttp, "connection", None), "protocol", None)
    # A subclass may be told of its data in another way, as the one for empty bodies is.
    if type(reader) is not StreamReader or type(handler) is not ResponseHandler:
        return None
    idle = getattr(reader, "_waiter", reader) is None
    ours = handler.transport is not None and handler.transport.get_protocol() is handler
    return Body(reader, handler) if idle and ours else None


async def read_by_call(body: Body, receive: Callable[[bytes], bool]) -> BaseException | None:
    """Call `receive` with what each network read brings, until it returns False.

    Nobody else may read meanwhile. What has not been given to `receive` stays with aiohttp, and so
    do the body's end and its loss, which end this, too.

    Returns:
        What `receive` has raised, if it did.
    """
    tap = _Tap(body, receive)
    try:
        tap.open()
        return await tap.stopped
    finally:
        tap.close()


def whole_chunks(data: bytes) -> bytes | None:
    """Return what is in HTTP's chunks; None if anything else is there, as the end of a body."""
    bodies: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        head = _CHUNK_HEAD.match(data, at)
        if head is None:
            return None
        begin = head.end()
        at = begin + int(head[1], 16)
        if at == begin or data[at : at + 2] != b"\r\n":
            return None
        bodies.append(data[begin:at])
        at += 2
    return bodies[0] if len(bodies) == 1 else b"".join(bodies)


class _Tap(asyncio.Protocol):
    """Protocol of a connection while its body is read by call."""

    __slots__ = ("_between", "_context", "_handler", "_reader", "_receive", "stopped")

    def __init__(self, body: Body, receive: Callable[[bytes], bool]) -> None:
        self._reader, self._handler = body
        self._receive = receive
        self._between = False  # whether aiohttp's parser is known to stand between two chunks
        self._context = copy_context()  # of the task that waits; else it would be the socket's
        self.stopped: asyncio.Future[BaseException | None] = (
            asyncio.get_running_loop().create_future()
        )

    def open(self) -> None:
        """Read what has come already; then take the place of aiohttp's protocol."""
        self._read()
        if (transport := self._handler.transport) is not None and not self.stopped.done():
            transport.set_protocol(self)

    def close(self) -> None:
        """Leave the connection to aiohttp."""
        self.stopped.cancel()
        transport = self._handler.transport
        if transport is not None and transport.get_protocol() is self:
            transport.set_protocol(self._handler)

    def _stop(self, raised: BaseException | None = None) -> None:
        if not self.stopped.done():
            self.stopped.set_result(raised)
        self.close()  # at once: a connection whose body has ended may be another's next

    # -- what the transport calls ---------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take whole chunks out of the stream; have aiohttp parse anything else, and read that."""
        if self.stopped.done():
            self._handler.data_received(data)
        elif self._between and (body := whole_chunks(data)) is not None:
            self._context.run(self._take, body)
        else:
            self._pass_on(data)
            self._context.run(self._read)

    def eof_received(self) -> None:
        """Pass it on."""
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, and stop: aiohttp's reader says whether the body has ended with it."""
        self._handler.connection_lost(exc)
        self._context.run(self._read)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._handler.resume_writing()

    # -- what is read ---------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        try:
            if self._receive(data):
                return
        except BaseException as error:
            self._stop(error)
        else:
            self._stop()

    def _read(self) -> None:
        """Take what aiohttp has parsed; stop at the body's end, and at its loss."""
        reader = self._reader
        while not self.stopped.done():
            # More may be there after a read: what aiohttp had not parsed while it was full.
            if reader.exception() is None and (data := reader.read_nowait()):
                self._take(data)
            elif reader.exception() is not None or reader.is_eof():
                self._stop()
            else:
                return

    def _pass_on(self, data: bytes) -> None:
        """Have aiohttp parse data, and learn whether it then stands between two chunks.

        aiohttp notes where the last chunk has ended, and not where the next begins. So a last byte
        that may end a chunk is passed on alone: if it ends one, nothing of the next is there.
        """
        self._between = False
        if data.endswith(b"\r\n"):
            self._handler.data_received(data[:-1])
            ended_before = self._is_chunk_end()
            self._handler.data_received(data[-1:])
            self._between = self._is_chunk_end() and not ended_before
        else:
            self._handler.data_received(data)

    def _is_chunk_end(self) -> bool:
        """Whether the newest byte of the body is the last of a chunk, and nothing is held back."""
        ends = self._reader._http_chunk_splits
        if not ends or self._handler._reading_paused:
            return False
        return ends[-1] == self._reader.total_bytes
