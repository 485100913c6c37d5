"""A body read by call: aiohttp's reader announces new bytes, and no task has to wake.

Both SDKs answer through aiohttp, which keeps the received bytes of a body in a `StreamReader`, and
wakes its reader through a future, `_waiter`. A tap takes that future's place. Everything else stays
aiohttp's: proxies, TLS, the pool, the buffer, its flow control, the body's end and its loss. So the
response's own iterator can continue wherever a tap has stopped.

None of these attributes is public. A body of another shape is not read by call, and a test of
this module fails when aiohttp, or what the SDKs put around it, takes another one.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2
    from aiohttp import StreamReader

Reader: TypeAlias = "StreamReader"
"""Of a body that can be read by call."""


def reader_of(response: httpx2.Response) -> Reader | None:
    """Return aiohttp's reader of a response's body; None if it is not aiohttp's plain body."""
    from aiohttp import StreamReader

    if "content-encoding" in response.headers:
        return None
    of_the_sdk = getattr(response.stream, "_stream", None)
    of_aiohttp = getattr(of_the_sdk, "_aiohttp_response", None)
    reader = getattr(of_aiohttp, "content", None)
    # A subclass may be told of its data in another way, as the one for empty bodies is.
    plain = type(reader) is StreamReader and getattr(reader, "_waiter", reader) is None
    return reader if plain else None


async def read_by_call(reader: Reader, receive: Callable[[bytes], bool]) -> BaseException | None:
    """Call `receive` with what each network read brings, until it returns False.

    Nobody else may read meanwhile. What has not been given to `receive` stays in the reader, and
    so do the body's end and its loss, which end this, too.

    Returns:
        What `receive` has raised, if it did.
    """
    tap = _Tap(reader, receive)
    try:
        tap.read()
        return await tap.stopped
    finally:
        tap.close()


class _Tap:
    """Stand-in for the future that the reader wakes.

    It reads a turn of the loop after it is told: then the parser, which tells it, has returned,
    and all that came with one network read is there.
    """

    __slots__ = ("_context", "_loop", "_reader", "_receive", "stopped")

    def __init__(self, reader: Reader, receive: Callable[[bytes], bool]) -> None:
        self._reader = reader
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # of the task that waits; else it would be the socket's
        self.stopped: asyncio.Future[BaseException | None] = self._loop.create_future()

    def done(self) -> bool:
        """Return what aiohttp asks a future before it wakes it."""
        return False

    def set_result(self, _: object) -> None:
        """Hear from aiohttp that there is data, or that the body has ended."""
        self._loop.call_soon(self.read, context=self._context)

    def set_exception(self, _: object) -> None:
        """Hear from aiohttp that the connection was lost."""
        self._loop.call_soon(self.read, context=self._context)

    def read(self) -> None:
        """Pass on what is there, and wait for more; or stop."""
        reader, stopped, raised = self._reader, self.stopped, None
        try:
            while not stopped.done() and reader.exception() is None:
                # More may be there after a read: what aiohttp had not parsed while it was full.
                if data := reader.read_nowait():
                    if not self._receive(data):
                        break
                elif reader.is_eof():
                    break
                else:
                    reader._waiter = cast("asyncio.Future[None]", self)
                    return
        except BaseException as error:
            raised = error
        if not stopped.done():
            stopped.set_result(raised)

    def close(self) -> None:
        """Leave the reader to who reads it next."""
        self.stopped.cancel()
        if cast("object", self._reader._waiter) is self:
            self._reader._waiter = None
