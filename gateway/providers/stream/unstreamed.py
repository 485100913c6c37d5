"""Bodies that are no stream of events, and what stands behind a stream's last blank line.

Servers answer a request for a stream with one JSON object, with an error and status 200, or
with a web page; some leave out the blank line behind their last event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.sse import DONE_DATA, SseDecoder
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in, is_failure
from midstream.providers.passthrough.whole_answers import UNLIKE_AN_ANSWER, events_of
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.errors import ProviderError
    from midstream.protocol.sse import Event
    from midstream.providers.passthrough.call import Wire

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Of an answer that does not stream; a larger one is not read."""

_object_decoder: Final = msgspec.json.Decoder(dict[str, object])


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


def events_in(body: bytes, wire: Wire) -> Sequence[bytes]:
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
        return tuple(events_of(wire, body))
    except UNLIKE_AN_ANSWER as error:
        raise no_stream(body) from error


def no_stream(body: bytes) -> ProviderError:
    """Return the error for a body that is no answer; its beginning is for the operator."""
    failure = Fault.NO_STREAM.error()
    failure.note = quoted(message=body[:2000].decode("utf-8", "replace"))
    return failure


def _says_something(line: bytes) -> bool:
    return bool(line.strip()) and not line.startswith((b":", b"event:", b"id:", b"retry:"))
