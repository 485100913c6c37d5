"""uvicorn's HTTP protocol on httptools, with limits on incomplete requests.

httptools buffers a field until it is complete, however long it grows. uvicorn waits for the rest
of a head or body without a limit, and hands trailers to a running application. The limits here
cost nothing while a response is written.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from midstream.errors import DrainingError, GatewayError
from midstream.server.guard import next_deadline
from midstream.server.light import LightEvent, LightFlow, Pipeline
from midstream.server.refusals import (
    HeadTooLargeError,
    RequestTimeoutError,
    TargetTooLongError,
    TooManyConnectionsError,
    malformed,
    pipelined_refused,
    refusal,
    trailers_refused,
)
from midstream.telemetry import ERRORS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from uvicorn._types import ASGI3Application, HTTPScope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from midstream.server.guard import Guard

logger = logging.getLogger(__name__)

LINGER_S: Final = 2.0
"""Time for a refused client to stop sending: a connection closed with unread bytes is reset, and
its client would not see the response."""

MAX_PIPELINED: Final = 8
"""Most requests on one connection that wait for the response to an earlier one."""


class GuardedHttpProtocol(HttpToolsProtocol):
    """One connection.

    A request is in its head until that is complete, then in its body until that is. `_deadline`
    is set while the client must send more.
    """

    # With these in its dictionary, an instance could not share its keys with the others (1.2 KB).
    __slots__ = (
        "_active",
        "_admitted",
        "_complete",
        "_deadline",
        "_fields",
        "_guard",
        "_head_bytes",
        "_head_has_begun",
        "_heard",
        "_in_head",
        "_limits",
        "_lingers",
        "_refused",
        "_unheard",
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self._guard: Guard = self.config.guard  # type: ignore[attr-defined]
        self._limits = self._guard.limits
        self._admitted = False
        self._lingers = False
        self._deadline: float | None = None
        self._refused: GatewayError | None = None
        """The error that ended reading. The parser gets it as an exception."""
        self._active: RequestResponseCycle | None = None
        """The request being answered; uvicorn's own `cycle` is the newest one that waits."""
        self._in_head = True
        self._head_has_begun = False
        self._head_bytes = 0
        self._fields = 0
        """Number of fields in `headers` at the end of the head; more are trailers."""
        self._complete = 0
        """Number of complete requests."""
        self._heard = False
        self._unheard = 0
        """Bytes after a head that are no content: chunk sizes and their extensions."""

    # -- the connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it; over the limit, it is refused at its first bytes."""
        super().connection_made(transport)
        self.flow = LightFlow(transport)
        self._admitted = self._guard.admit(self._address)
        if self._admitted:
            self._await(self._limits.idle_limit_s)
        elif self._linger():
            self._await(LINGER_S)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release it, and tell the application."""
        self._settle()
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True
            self._active.message_event.set()
        if self._lingers:
            self._guard.end_lingering()
        if self._admitted:
            self._guard.release(self._address)
        super().connection_lost(exc)

    @property
    def _address(self) -> str | None:
        return self.client[0] if self.client else None

    def data_received(self, data: bytes) -> None:
        """Parse bytes; those of a refused client are discarded."""
        if self._refused is not None:
            return
        if not self._admitted:
            self._refuse(
                TooManyConnectionsError("unable to accept more connections now; try again later")
            )
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self._settle()
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                # The parser would take the next bytes for another protocol.
                self.cycle.keep_alive = False
        except (httptools.HttpParserError, _RefusedError):
            self._refuse(self._refused or malformed())

    def _feed(self, data: bytes) -> None:
        """Parse bytes, in pieces no larger than a head may be, and set the next deadline.

        Raises:
            httptools.HttpParserError, _RefusedError: reading must end.
        """
        limit = self._limits.max_head_bytes
        size, at = len(data), 0
        while at < size:
            room = limit - self._head_bytes if self._in_head else limit
            piece = data if not at and size <= room else memoryview(data)[at : at + room]
            at += room
            complete, self._heard = self._complete, False
            self.parser.feed_data(piece)
            if not self._in_head:
                self._unheard = 0 if self._heard else self._unheard + len(piece)
                if self._unheard > limit:
                    self._stop(trailers_refused())
            elif complete == self._complete:
                self._head_bytes += len(piece)
                if self._head_bytes >= limit:
                    self._stop(_head_too_large(f"{limit} bytes"))
        self._look_ahead(size)

    # -- deadlines ----------------------------------------------------------------------------

    def _look_ahead(self, received: int) -> None:
        """Set the deadline of the missing part."""
        if not self._in_head:
            self._await_body(received)
        elif not self._head_bytes:
            if self._deadline is not None:
                self._settle()
        elif not self._head_has_begun:
            self._head_has_begun = True
            self._await(self._limits.head_deadline_s)

    def _await_body(self, received: int) -> None:
        """Extend a body's deadline by the bytes that have arrived, up to the limit on silence."""
        limits = self._limits
        if self._deadline is None:
            self._await(limits.body_deadline_s)
        elif not self.cycle.response_complete:
            self._deadline = next_deadline(self._deadline, self.loop.time(), received, limits)

    def _await(self, limit_s: float) -> None:
        self._deadline = self.loop.time() + limit_s
        self._guard.watch(self)

    def _settle(self) -> None:
        self._deadline = None
        self._guard.forget(self)

    def look(self, now: float, elapsed_s: float) -> None:
        """End the connection if its time is up; see `Guard`."""
        if self._deadline is None:
            return
        if self._refused is None and not self._in_head and self._waits_for_us():
            self._deadline += elapsed_s
        elif now >= self._deadline:
            self._expire()

    def _waits_for_us(self) -> bool:
        """Whether the body waits for this server: to read more, or to send `100 Continue`."""
        cycle = self.cycle
        return self.flow.read_paused or (
            cycle.waiting_for_100_continue and not cycle.response_complete
        )

    def _expire(self) -> None:
        self._settle()
        if self._refused is not None or not self._admitted:
            self.transport.abort()
        elif self._in_head and not self._head_bytes:
            self.transport.close()
        else:
            what = "head" if self._in_head else "body"
            self._refuse(
                RequestTimeoutError(f"unable to wait longer for the request's {what}; send again")
            )

    # -- refusals -----------------------------------------------------------------------------

    def _stop(self, error: GatewayError) -> NoReturn:
        """End the parser, and refuse the client."""
        self._refused = error
        raise _RefusedError

    def _refuse(self, error: GatewayError) -> None:
        """Respond with an error if no response has begun, discard the request, and end."""
        ERRORS.labels(error.code).inc()
        logger.debug("request_refused code=%s", error.code)
        self._refused = error
        if self._is_answerable():
            self._let_go()
            self._say_last(refusal(error))
        else:
            self._let_go()
            self.transport.abort()

    def _is_answerable(self) -> bool:
        """Whether an error response can be written: no other response has begun."""
        if self._in_head:
            return not self._answers()
        return self._active is self.cycle and not self._active.response_started

    def _answers(self) -> bool:
        return self._active is not None and not self._active.response_complete

    def _let_go(self) -> None:
        """Discard the request; a running application gets a disconnect."""
        self._settle()
        self._unset_keepalive_if_required()
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True
            self._active.body = bytearray()
            self._active.message_event.set()
        self.pipeline.clear()
        self.parser = None  # type: ignore[assignment]
        self.scope = None  # type: ignore[assignment]
        self.headers = []
        self.url = b""

    def _say_last(self, response: bytes) -> None:
        """Write a last response, then read and discard for a moment."""
        self.transport.write(response)
        if not self._linger():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._await(LINGER_S)

    def _linger(self) -> bool:
        """Whether a refused connection may be kept for a moment."""
        self._lingers = self._lingers or self._guard.linger()
        return self._lingers

    def shutdown(self) -> None:
        """End after the responses under way; an incomplete request is refused."""
        if self._refused is not None:
            self.transport.close()
        elif (self._head_bytes or not self._in_head) and self._is_answerable():
            self._refuse(DrainingError("unable to serve now; try again"))
        else:
            super().shutdown()

    def break_off(self) -> None:
        """End at once; the application gets a disconnect."""
        self._refused = DrainingError("unable to continue; this process is shutting down")
        self._let_go()
        self.transport.abort()

    # -- callbacks of the parser --------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.url += url
        if len(self.url) > self._limits.max_target_bytes:
            limit = self._limits.max_target_bytes
            self._stop(TargetTooLongError(f"unable to read a target of more than {limit} bytes"))

    def on_headers_complete(self) -> None:
        """Start the application: the body follows."""
        if len(self.headers) > self._limits.max_head_fields:
            self._stop(_head_too_large(f"{self._limits.max_head_fields} fields"))
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(pipelined_refused())
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.message_event = LightEvent()  # type: ignore[assignment]
        if not self.parser.should_upgrade() or not self._should_upgrade():
            self.headers = []  # the application has its own copy; further fields are trailers
        self._fields = len(self.headers)
        self._in_head = self._head_has_begun = False
        self._head_bytes = self._unheard = 0
        self._deadline = None

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count a complete request."""
        if len(self.headers) != self._fields:
            self._stop(trailers_refused())
        self._in_head = True
        self._complete += 1
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        # With uvicorn's access log, the cycle needs its scope again when the response begins.
        plain = app is self.app and not self.access_log
        super()._start_asgi_task(cycle, self._serve if plain else app)

    def _serve(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Hand the request over: a long response keeps neither its headers nor its scope here."""
        if self._active is not None:
            self._active.scope = _rest_of_scope(scope["method"])
        if self.scope is scope:
            self.scope = None  # type: ignore[assignment]
        response: Awaitable[None] = self.app(scope, receive, send)
        return response


@cache
def _rest_of_scope(method: str) -> HTTPScope:
    """Return what uvicorn looks for in a scope while it writes a response."""
    return {"method": method}  # type: ignore[typeddict-item]


class _RefusedError(Exception):
    """Reading of this client has ended; the connection has the reason."""


def _head_too_large(limit: str) -> HeadTooLargeError:
    return HeadTooLargeError(f"unable to read a head of more than {limit}; send less in it")
