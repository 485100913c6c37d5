"""Texts and thoughts of an Anthropic message: the blocks that are open, and those held back.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`, `doStream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from midstream.protocol.chunks import AnyChunk, Json, TextDeltaChunk, TextStartChunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.providers.anthropic.stream.citations import Citations
    from midstream.providers.anthropic.stream.events import Citation
    from midstream.providers.part_ids import PartIds


class OpenReasoning:
    """A thought whose block is open. `signable`: not one that only the provider can read."""

    __slots__ = ("id", "signable")

    def __init__(self, reasoning_id: str, *, signable: bool) -> None:
        """Open a thought."""
        self.id = reasoning_id
        self.signable = signable


class OpenText:
    """A text, a summary or a JSON answer whose block is open.

    Attributes:
        held: its text so far, if it is shown at the message's end only.
    """

    __slots__ = ("citations", "held", "id")

    def __init__(self, text_id: str, held: list[str] | None = None) -> None:
        """Open a text."""
        self.id = text_id
        self.citations: list[Citation] = []
        self.held = held


class TextStream:
    """Makes the chunks of a step's texts.

    Args:
        hold: whether what the model says is held back: it counts only if the model does
            not answer by the JSON tool after all.
    """

    def __init__(
        self,
        citations: Citations,
        part_ids: PartIds,
        new_id: Callable[[], str],
        *,
        hold: bool,
    ) -> None:
        """Begin a step."""
        self._citations = citations
        self._part_ids = part_ids
        self._new_id = new_id
        self._hold = hold
        self._held: list[OpenText] = []

    def open_spoken(self, index: int) -> tuple[OpenText, list[AnyChunk]]:
        """The model begins to say something."""
        if not self._hold:
            return self.open(index)
        text = OpenText(str(index), held=[])
        self._held.append(text)
        return text, []

    def open(
        self, index: int, metadata: Json | UnsetType = UNSET
    ) -> tuple[OpenText, list[AnyChunk]]:
        """A text begins that is shown as it comes."""
        text = OpenText(self._part_ids.text(str(index), self._new_id))
        return text, [TextStartChunk(id=text.id, provider_metadata=metadata)]

    def extend(self, block: OpenText, text: str) -> list[AnyChunk]:
        """More text; an empty one is no chunk."""
        if not text:
            return []
        if block.held is not None:
            block.held.append(text)
            return []
        return [TextDeltaChunk(id=block.id, delta=text)]

    def close(self, block: OpenText) -> list[AnyChunk]:
        """A text ends."""
        if block.held is not None:
            return []
        return [self._citations.text_end(block.id, block.citations)]

    def drop_held(self) -> None:
        """Forget what was held back: it was talk before a call."""
        self._held.clear()

    def release_held(self) -> list[AnyChunk]:
        """Return what was held back, as whole texts."""
        chunks: list[AnyChunk] = []
        for text in self._held:
            if whole := "".join(text.held or ()):
                text_id = self._part_ids.text(text.id, self._new_id)
                chunks += (
                    TextStartChunk(id=text_id),
                    TextDeltaChunk(id=text_id, delta=whole),
                    self._citations.text_end(text_id, text.citations),
                )
        self._held.clear()
        return chunks
