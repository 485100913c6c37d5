"""Server-sent events: constants for writing them, and a decoder for reading others'.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (parsing).
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.protocol.errors import MalformedFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

HEARTBEAT: Final = b":\n\n"
"""A comment, which clients ignore; it keeps proxies from closing a silent connection."""

DONE: Final = b"data: [DONE]\n\n"
"""The last event of every stream."""

DONE_DATA: Final = b"[DONE]"
"""The `data` of the event that OpenAI and the AI SDK end their streams with."""

ERROR_NAME: Final = "error"
"""The `event` field of an event that reports a failure."""

DEFAULT_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Above the size of any provider's event (an image as base64 is a few MB)."""

_BLANK_LINE: Final = b"\n\n"
_DATA: Final = b"data: "
_EVENT: Final = b"event: "


class Event(Struct, frozen=True, gc=False):
    """One event.

    Attributes:
        data: its data lines, joined by newlines.
        name: its `event` field; `message` if it has none.
        id: the last `id` field of the stream so far.
    """

    data: bytes
    name: str = "message"
    id: str = ""


class SseDecoder:
    """Decodes bytes, cut anywhere, into events.

    As the standard requires, an event that the stream's end cuts off is never returned.

    Args:
        max_event_bytes: the limit of one event, as sent.
        error_lines: read a field `error`, which some model servers send although the standard
            has none, as an event of that name.
    """

    __slots__ = (
        "_at_start",
        "_error_lines",
        "_id",
        "_max_event_bytes",
        "_pending",
        "_pending_bytes",
        "_skip_lf",
    )

    def __init__(
        self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES, *, error_lines: bool = False
    ) -> None:
        self._max_event_bytes = max_event_bytes
        self._error_lines = error_lines
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._at_start = True
        self._skip_lf = False
        self._id = ""

    def rest(self) -> bytes:
        """Return the bytes of an incomplete event, with normalized line ends."""
        return b"".join(self._pending)

    @property
    def pending(self) -> bool:
        """Whether an event is incomplete."""
        return bool(self._pending)

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that they complete, in order.

        Raises:
            MalformedFrameError: an event is larger than the limit; stop decoding.
        """
        if self._at_start or self._skip_lf or b"\r" in data:
            data = self._normalized(data)
        pending = self._pending
        if not pending and len(data) <= self._max_event_bytes:
            end = len(data) - len(_BLANK_LINE)
            if end > 0 and data.find(_BLANK_LINE) == end:  # one whole event, as nearly always
                event = self._event(data[:end])
                return [] if event is None else [event]
        if pending and data:
            # The blank line may be cut in two: its first half then ends the bytes before.
            if _BLANK_LINE not in data and pending[-1][-1:] + data[:1] != _BLANK_LINE:
                pending.append(data)
                self._pending_bytes += len(data)
                self._check(self._pending_bytes)
                return []
            data = b"".join((*pending, data))
            pending.clear()
        blocks = data.split(_BLANK_LINE)
        rest = blocks.pop()
        if rest:
            pending.append(rest)
            self._pending_bytes = len(rest)
        if len(data) > self._max_event_bytes:
            self._check(max(len(rest), *map(len, blocks)))
        return [event for event in map(self._event, blocks) if event is not None]

    def _check(self, event_bytes: int) -> None:
        if event_bytes > self._max_event_bytes:
            raise MalformedFrameError(
                f"unable to read the event stream; an event is over {self._max_event_bytes} bytes"
            )

    def _normalized(self, data: bytes) -> bytes:
        """Drop a byte order mark at the start, and end every line with a single LF."""
        if self._at_start:
            data = b"".join((*self._pending, data))
            self._pending = []
            if len(data) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(data):
                self._pending = [data]
                return b""
            self._at_start = False
            data = data.removeprefix(codecs.BOM_UTF8)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _event(self, block: bytes) -> Event | None:
        """Read the lines of one event; None if they hold no data."""
        lines = block.split(b"\n")
        # Fast path: `data`, or `event` and `data`, as providers send.
        last = lines[-1]
        if last.startswith(_DATA):
            if len(lines) == 1:
                return Event(last[6:], "message", self._id)
            if len(lines) == 2 and lines[0].startswith(_EVENT):
                return Event(last[6:], lines[0][7:].decode("utf-8", "replace"), self._id)
        return self._any_event(lines)

    def _any_event(self, lines: Sequence[bytes]) -> Event | None:
        name = ""
        data: list[bytes] = []
        for line in lines:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode("utf-8", "replace")
            elif field == b"error" and self._error_lines:
                name = ERROR_NAME
                data.append(value)
            elif field == b"id" and b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        return Event(b"\n".join(data), name or "message", self._id) if data else None
