"""Reads an answer along while it passes: events to the caller, chunks to the session.

The caller gets the provider's bytes, cut at the ends of events only: an event means nothing before
its blank line, and a stopped stream can then be ended well. Bytes that cannot be read pass, too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.errors import ProviderError
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.sse import DEFAULT_MAX_EVENT_BYTES, ERROR_NAME, SseDecoder
from midstream.protocol.surrogates import well_formed
from midstream.providers.failures.errors import Fault
from midstream.providers.stream.unstreamed import MAX_BODY_BYTES, events_in, last_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.sse import Event
    from midstream.providers.base import StepResult, Translator
    from midstream.providers.passthrough.api import ProxiedApi

logger = logging.getLogger(__name__)

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventsReader:
    """An answer that streams.

    Attributes:
        failure: why it cannot be read (any more); what passes is not affected.
    """

    def __init__(self, api: ProxiedApi, translator: Translator, new_id: Callable[[], str]) -> None:
        self.failure: ProviderError | None = None
        self._translator = translator
        self._decoder = SseDecoder(error_lines=True)
        self._ending = api.ending(new_id)
        self._last_event = api.last_event
        self._held = bytearray()

    @property
    def result(self) -> StepResult:
        """Return the step's result."""
        return self._translator.result

    @property
    def closing(self) -> bool:
        """Whether the content of the answer is complete: only its last event is awaited."""
        return self._translator.closing and self.failure is None

    complete = closing
    """Whether a caller that leaves now has all of it."""

    @property
    def ended(self) -> bool:
        """Whether its last event is there, and nothing of another message behind it."""
        if self.failure is not None or not self._translator.ended:
            return False
        return self.result.failure is None and not self._held

    def receive_data(self, data: bytes) -> tuple[bytes, list[AnyChunk]]:
        """Take the next bytes; return what of them is to pass, and their chunks."""
        if self.failure is not None:
            return self._rest() + data, []
        passed = self._whole_events(data)
        chunks: list[AnyChunk] = []
        try:
            for event in self._decoder.receive_data(passed) if passed else ():
                self._follow(event.data)
                chunks += self._translated(event)
        except MalformedFrameError:
            self.failure = Fault.BROKEN.error()
        except Exception:
            logger.exception("proxied_answer_not_read")
            self.failure = Fault.BROKEN.error()
        if self.failure is not None or len(self._held) > DEFAULT_MAX_EVENT_BYTES:
            self.failure = self.failure or Fault.BROKEN.error()
            passed += self._rest()
        return passed, chunks

    def receive_eof(self) -> tuple[bytes, list[AnyChunk]]:
        """The answer ended: return what was held, and the last chunks."""
        chunks: list[AnyChunk] = []
        if self.failure is None and self.result.failure is None:
            if (event := last_event(bytes(self._held))) is not None:
                chunks += self._translated(event)
            if self.result.failure is None:
                chunks += self._translator.receive_eof()
        return self._rest(), chunks

    def receive_last(self) -> list[AnyChunk]:
        """End an answer that is `closing` without its last event: return the last chunks."""
        chunks = self._translator.receive(self._last_event)
        return chunks + self.receive_eof()[1]

    def close(self) -> bytes | None:
        """Return what ends the stream for the caller, from where it is; None if nothing can."""
        return None if self.failure is not None else self._ending.close()

    def _translated(self, event: Event) -> list[AnyChunk]:
        if event.name == ERROR_NAME:
            return self._translator.receive_error(event.data)
        return self._translator.receive(event.data)

    def _follow(self, event: bytes) -> None:
        try:
            self._ending.receive(event)
        except UNREADABLE:
            return  # the translator says so

    def _whole_events(self, data: bytes) -> bytes:
        held = self._held
        # An end may be cut in two: its first bytes are then what is held.
        begin = max(0, len(held) - 3)
        held += data
        cut = -1
        for end in _EVENT_ENDS:
            at = held.rfind(end, begin)
            if at >= 0:
                cut = max(cut, at + len(end))
        if cut < 0:
            return b""
        passed = bytes(held[:cut])
        del held[:cut]
        return passed

    def _rest(self) -> bytes:
        rest = bytes(self._held)
        self._held.clear()
        return rest


class WholeReader:
    """An answer that comes as one JSON object; read when it is whole. See `EventsReader`."""

    def __init__(self, api: ProxiedApi, translator: Translator) -> None:
        self.failure: ProviderError | None = None
        self._api = api
        self._translator = translator
        self._body = bytearray()

    @property
    def result(self) -> StepResult:
        """Return the step's result."""
        return self._translator.result

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        try:
            msgspec.json.decode(self._body)
        except UNREADABLE:
            return False
        return True

    closing = ended = False
    """Its end is the body's."""

    def receive_data(self, data: bytes) -> tuple[bytes, list[AnyChunk]]:
        """Take the next bytes; all of them pass."""
        if self.failure is None:
            self._body += data
            if len(self._body) > MAX_BODY_BYTES:
                self._body.clear()
                self.failure = Fault.BROKEN.error()
        return data, []

    def receive_eof(self) -> tuple[bytes, list[AnyChunk]]:
        """The answer is whole: return its chunks."""
        chunks: list[AnyChunk] = []
        try:
            if self.failure is None:
                chunks = self._translated(well_formed(bytes(self._body)))
        except ProviderError as error:
            self.failure = error
        return b"", chunks

    def _translated(self, body: bytes) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        if body.lstrip().startswith((b"data:", b"event:", b"error:", b":")):
            # A stream under another media type is one all the same.
            read = EventsReader(self._api, self._translator, str)
            chunks = read.receive_data(body)[1]
            chunks += read.receive_eof()[1]
            self.failure = read.failure
            return chunks
        for data in events_in(body, self._api.events_of):
            chunks += self._translator.receive(data)
        return chunks + self._translator.receive_eof()

    def receive_last(self) -> list[AnyChunk]:
        """See `EventsReader.receive_last`."""
        return self.receive_eof()[1]

    def close(self) -> bytes | None:
        """Nothing ends half an object."""
        return None
