"""uvicorn's WebSocket protocol, with limits on the memory of a client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from midstream.server.guard import next_deadline
from midstream.telemetry import ERRORS

if TYPE_CHECKING:
    from websockets.frames import Frame

    from midstream.server.guard import Guard

logger = logging.getLogger(__name__)

MAX_FRAGMENTS: Final = 4096
"""Most frames of one message. Empty frames cost memory, but add nothing to its size."""

MAX_UNREAD_PONGS: Final = 64
"""Most pongs that a client may leave unread."""


class GuardedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection, counted by the HTTP protocol that it began with."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._guard: Guard = self.config.guard  # type: ignore[attr-defined]
        self._unread_pongs = 0
        self._deadline: float | None = None

    def data_received(self, data: bytes) -> None:
        """Parse bytes; a message must arrive as fast as the body of a request."""
        super().data_received(data)
        if not (self.frames or self.conn.reader.buffer):
            if self._deadline is not None:
                self._settle()
            return
        now, limits = self.loop.time(), self._guard.limits
        if self._deadline is None:
            self._deadline = now + limits.body_deadline_s
            self._guard.watch(self)
        else:
            self._deadline = next_deadline(self._deadline, now, len(data), limits)

    def look(self, now: float, elapsed_s: float) -> None:
        """Close the connection if a message is past its deadline; see `Guard`."""
        if self._deadline is None:
            return
        if self.read_paused:
            self._deadline += elapsed_s
        elif now >= self._deadline:
            self._settle()
            self._fail(CloseCode.POLICY_VIOLATION, "a message that does not end")

    def _settle(self) -> None:
        self._deadline = None
        self._guard.forget(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self._settle()
        self._guard.release(self.client[0] if self.client else None)
        super().connection_lost(exc)

    def handle_cont(self, event: Frame) -> None:
        """Take one more frame of a message."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many frames in one message")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not read."""
        if self.writable.is_set():
            self._unread_pongs = 0
        self._unread_pongs += 1
        if self._unread_pongs > MAX_UNREAD_PONGS:
            self.transport.abort()
            return
        super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Deliver a message; a text must be UTF-8 (RFC 6455 §8.1)."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self._fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
            return
        super().send_receive_event_to_app()

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the connection, and tell the application."""
        ERRORS.labels("invalid_request").inc()
        logger.info("socket_failed code=%d reason=%s", code, reason)
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
