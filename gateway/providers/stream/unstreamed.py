"""Bodies that are no stream of events, and what stands behind a stream's last blank line.

Servers answer a request for a stream with one JSON object, with an error and status 200, or
with a web page; some leave out the blank line behind their last event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.sse import DONE_DATA, SseDecoder
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in, is_failure
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.errors import ProviderError
    from midstream.protocol.sse import Event

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Of an answer that does not stream; a larger one is not read."""

EventsOf: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
"""Yields the events that would have streamed a whole answer, in order.

So there is one translation of each API, and an answer that does not stream shows the same
message as one that does. What it raises for a body that is no answer is in `_NO_ANSWER`.
"""

_NO_ANSWER: Final = (*UNREADABLE, ValueError, TypeError, KeyError, AttributeError)

_object_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def last_event(rest: bytes) -> Event | None:
    """Return the event whose blank line never came; None if it is not whole, or none."""
    if not rest:
        return None
    try:
        events = SseDecoder(error_lines=True).receive_data(rest + b"\n\n")
    except MalformedFrameError:
        return None
    if len(events) != 1:
        return None
    try:
        if events[0].data.strip() != DONE_DATA:
            _object_decoder.decode(events[0].data)
    except UNREADABLE:
        return None
    return events[0]


def events_in(body: bytes, events_of: EventsOf) -> Sequence[bytes]:
    """Return the events that a body without events would have streamed, as JSON.

    None for a body with nothing in it.

    Raises:
        ProviderError: it is an error, or no answer of this API.
    """
    if not any(_says_something(line) for line in body.splitlines()):
        return ()
    try:
        value = _object_decoder.decode(body)
        if is_failure(value) and not ("choices" in value or "output" in value):
            raise failure_in(body)
        return tuple(map(msgspec.json.encode, events_of(value)))
    except _NO_ANSWER as error:
        raise no_stream(body) from error


def no_stream(body: bytes) -> ProviderError:
    """Return the error for a body that is no answer; its beginning is for the operator."""
    failure = Fault.NO_STREAM.error()
    failure.note = quoted(message=body[:2000].decode("utf-8", "replace"))
    return failure


def _says_something(line: bytes) -> bool:
    return bool(line.strip()) and not line.startswith((b":", b"event:", b"id:", b"retry:"))
