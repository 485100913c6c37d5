"""Which parts of a message are open, by chunks that were seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.chunks import (
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.protocol.chunks import AnyChunk

_OF_OPEN_PARTS: Final = (
    TextStartChunk,
    TextEndChunk,
    ReasoningStartChunk,
    ReasoningEndChunk,
    ToolInputStartChunk,
    ToolInputDeltaChunk,
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
)
"""Chunks that tell what is open."""


def of_open_parts(chunks: Iterable[AnyChunk]) -> list[AnyChunk]:
    """Return the chunks that tell which parts are open after `chunks`.

    A delta whose start is not among them tells of an open part as well.
    """
    opening: list[AnyChunk] = []
    texts: set[str] = set()
    for chunk in chunks:
        if isinstance(chunk, TextStartChunk | ReasoningStartChunk):
            texts.add(chunk.id)
        elif isinstance(chunk, TextDeltaChunk | ReasoningDeltaChunk) and chunk.id not in texts:
            texts.add(chunk.id)
            start = TextStartChunk if isinstance(chunk, TextDeltaChunk) else ReasoningStartChunk
            opening.append(start(id=chunk.id))
        if isinstance(chunk, _OF_OPEN_PARTS):
            opening.append(chunk)
    return opening
