"""The toy's events as chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from midstream.protocol.chunks import (
    AnyChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.providers.base import StepResult, Usage
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.providers.part_ids import PartIds


class _Said(Struct):
    word: str | None = None
    over: bool = False
    words: int = 0
    trouble: str | None = None


_said = msgspec.json.Decoder(_Said)


class ToyTranslator:
    """Implements `Translator`."""

    def __init__(self, *, new_id: Callable[[], str], part_ids: PartIds) -> None:
        self.result = StepResult()
        self.closing = self.ended = False
        self._new_id = new_id
        self._part_ids = part_ids
        self._text: str | None = None

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take an event."""
        try:
            said = _said.decode(event)
        except UNREADABLE:
            self.result.warning = "unable to understand a part of what the model provider answered"
            return []
        if said.trouble is not None:
            return self.receive_error(event)
        chunks: list[AnyChunk] = []
        if self._text is None:
            self._text = self._part_ids.text("0", self._new_id)
            chunks += [StartStepChunk(), TextStartChunk(id=self._text)]
        if said.word is not None:
            chunks.append(TextDeltaChunk(id=self._text, delta=said.word))
        if said.over:
            chunks.append(TextEndChunk(id=self._text))
            self.result.finish_reason, self.result.raw_finish_reason = "stop", "over"
            self.result.usage = Usage(output_tokens=said.words)
            self.closing = self.ended = True
        return chunks

    def receive_error(self, event: bytes) -> list[AnyChunk]:
        """Take an error."""
        self.result.failure = failure_in(event)
        self.ended = True
        return []

    def receive_loss(self) -> list[AnyChunk]:
        """Nothing is referred to by later requests."""
        return []

    def receive_eof(self) -> list[AnyChunk]:
        """Fail an answer in which nothing has come."""
        if self._text is None and self.result.failure is None:
            self.result.failure = Fault.BROKEN.error()
        return []
