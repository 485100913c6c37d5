"""Streams without a task for each: the one module here that knows uvicorn's shape.

`send` of a `RequestResponseCycle` frames a body as one chunk of HTTP/1.1 and hands it to the
transport. Many streams of one run are sent the same bytes at the same moment: their chunk is made
once. `receive` waits for an event of the cycle; its disconnect can be seen there. Under another
server, or behind a middleware that wraps them, there is no direct way, and `send` and `receive` are
the only ones.

Source: uvicorn 0.54.0, `uvicorn/protocols/http/httptools_impl.py`, `RequestResponseCycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from midstream.aio.pulse import Pulse

if TYPE_CHECKING:
    from asyncio import Future, Transport
    from collections.abc import Callable

    from litestar.types import Receive, Send
    from uvicorn.protocols.http.flow_control import FlowControl

T = TypeVar("T")

enabled: bool = True
"""Tests clear it to have everything written by `send`, as behind another server."""


def direct_write(send: Send, encode: Callable[[T], bytes]) -> Callable[[T], bool] | None:
    """Return what writes an item of a response's body at once, or None if only `send` can.

    The head must have been sent. It returns False, and has done nothing, if it is the turn of
    `send`: the client does not read fast enough, or has left, or the item cannot be encoded.
    """
    cycle = _cycle_of(send)
    if cycle is None or send != cycle.send or not cycle.chunked_encoding:
        return None
    return _DirectWriter(cycle.transport, cycle.flow, encode).write


def watch_cycle(receive: Receive, departed: Callable[[], None]) -> CycleWatch | None:
    """Return a watch for a client's disconnect, or None if only `receive` can tell.

    The request must have been read as far as anybody wants it.
    """
    cycle = _cycle_of(receive)
    if cycle is None or receive != cycle.receive or not isinstance(cycle.message_event, Pulse):
        return None
    return CycleWatch(cycle, cycle.message_event, departed)


def _cycle_of(method: object) -> RequestResponseCycle | None:
    cycle = getattr(method, "__self__", None)
    return cycle if enabled and type(cycle) is RequestResponseCycle else None


class _DirectWriter(Generic[T]):
    """One response."""

    __slots__ = ("_encode", "_flow", "_transport")

    def __init__(
        self, transport: Transport, flow: FlowControl, encode: Callable[[T], bytes]
    ) -> None:
        self._transport = transport
        self._flow = flow
        self._encode = encode

    def write(self, item: T) -> bool:
        """Write an item, unless it is the turn of `send`."""
        transport = self._transport
        if self._flow.write_paused or transport.is_closing():
            return False
        try:
            body = self._encode(item)
        except Exception:
            return False
        if body:
            if body is not _last.body:
                _last.body, _last.chunk = body, b"%x\r\n%b\r\n" % (len(body), body)
            transport.write(_last.chunk)
        return True


class CycleWatch:
    """The wait for a disconnect, as `receive` has it: until `cancel`."""

    __slots__ = ("_cycle", "_departed", "_event", "_waiter")

    def __init__(
        self, cycle: RequestResponseCycle, event: Pulse, departed: Callable[[], None]
    ) -> None:
        self._cycle = cycle
        self._event = event
        self._departed = departed
        cycle.flow.resume_reading()
        self._waiter = self._next()
        if self._is_over():
            event.send()

    def cancel(self) -> None:
        """End it."""
        self._waiter.cancel()

    def _next(self) -> Future[None]:
        waiter = Pulse.wait(self._event)
        waiter.add_done_callback(self._look)
        return waiter

    def _is_over(self) -> bool:
        return self._cycle.disconnected or self._cycle.response_complete

    def _look(self, waiter: Future[None]) -> None:
        if waiter.cancelled():
            return
        if self._is_over():
            self._departed()
        else:
            self._waiter = self._next()


class _Framed:
    """A body, and its chunk."""

    __slots__ = ("body", "chunk")

    def __init__(self) -> None:
        self.body = b""
        self.chunk = b""


_last: Final = _Framed()
"""The newest: the next response is often sent the same."""
