"""Rare events of the translators, beside the fast path.

Nearly every event is as its API documents it, in the middle of an answer, and holds whole
characters: those a translator takes by itself. All others come here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from midstream.protocol.codec import UNREADABLE, says_nothing
from midstream.protocol.sse import DONE_DATA
from midstream.protocol.surrogates import EventHalves
from midstream.providers.failures.reported import failure_in

if TYPE_CHECKING:
    from midstream.errors import ProviderError
    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import StepResult


class OddEvents(ABC):
    """Base of the translators; see `Translator` for what is public."""

    begins: ClassVar[bytes] = b"\0"
    """Bytes that only an event holds that begins another message or response."""

    def __init__(self, result: StepResult) -> None:
        self.result = result
        self.closing = self.ended = False
        self._marked = False
        self._odd = False
        """Whether the next event must not take the fast path."""
        self._halves = EventHalves()

    def receive_error(self, event: bytes) -> list[AnyChunk]:
        """Take an event that is named an error. See `Translator.receive_error`."""
        if not self.ended:
            self._fail(failure_in(event))
        return []

    def receive_loss(self) -> list[AnyChunk]:
        """Nothing is referred to by later requests. See `Translator.receive_loss`."""
        return []

    def _take_oddly(self, event: bytes) -> list[AnyChunk]:
        """Take an event that the fast path leaves out or could not read."""
        if self.ended and (self.result.failure is not None or self.begins not in event):
            return []
        if event.strip() == DONE_DATA:
            chunks = self._take_halves()
            self._marked = self._odd = True
            self._take_mark()
            return chunks
        if says_nothing(event):
            return []
        chunks = []
        for each in self._halves.add(event):
            chunks += self._take_one(each)
        self._odd = self.ended or self._marked or bool(self._halves.waiting)
        return chunks

    def _take_one(self, event: bytes) -> list[AnyChunk]:
        if self._marked:
            self.closing = self._marked = False  # the mark was a stray one
        try:
            return self._take(event)
        except UNREADABLE:
            return self._take_loosely(event)

    def _take_halves(self) -> list[AnyChunk]:
        """Return the chunks of what has waited in vain, at the latest at the answer's end."""
        return [chunk for each in self._halves.rest() for chunk in self._take_one(each)]

    def _end(self) -> None:
        """The protocol's last event has come, or a failure."""
        self.closing = self.ended = self._odd = True

    def _take_mark(self) -> None:
        """`[DONE]` has come: it ends nothing by itself, but little comes behind it."""
        self.closing = True

    @abstractmethod
    def _take(self, event: bytes) -> list[AnyChunk]:
        """Take an event as documented. Raises what is in `UNREADABLE`."""

    @abstractmethod
    def _take_loosely(self, event: bytes) -> list[AnyChunk]:
        """Take one that is not; what cannot be read at all is noted."""

    @abstractmethod
    def _fail(self, failure: ProviderError) -> None:
        """The provider has failed."""
