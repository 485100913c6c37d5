"""Writes to uvicorn's transport without a task: the one module here that knows uvicorn's shape.

`send` of a `RequestResponseCycle` frames a body as one chunk of HTTP/1.1 and hands it to the
transport. Many streams of one run are sent the same bytes at the same moment: their chunk is made
once. Under another server, or behind a middleware that wraps `send`, there is no direct way, and
`send` is the only one.

Source: uvicorn 0.54.0, `uvicorn/protocols/http/httptools_impl.py`, `RequestResponseCycle.send`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from asyncio import Transport
    from collections.abc import Callable

    from litestar.types import Send
    from uvicorn.protocols.http.flow_control import FlowControl

T = TypeVar("T")

enabled: bool = True
"""Tests clear it to have everything written by `send`, as behind another server."""


def direct_write(send: Send, encode: Callable[[T], bytes]) -> Callable[[T], bool] | None:
    """Return what writes an item of a response's body at once, or None if only `send` can.

    The head must have been sent. It returns False, and has done nothing, if it is the turn of
    `send`: the client does not read fast enough, or has left, or the item cannot be encoded.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or send != cycle.send:
        return None
    if not (enabled and cycle.chunked_encoding):
        return None
    return _DirectWriter(cycle.transport, cycle.flow, encode).write


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


class _Framed:
    """A body, and its chunk."""

    __slots__ = ("body", "chunk")

    def __init__(self) -> None:
        self.body = b""
        self.chunk = b""


_last: Final = _Framed()
"""The newest: the next response is often sent the same."""
