"""The chunks that each major version of the AI SDK accepts, and replacements for the others.

One chunk of an unknown type, or with an unknown enum value, stops a client of any version.
The log holds the richest form; a client gets the form that its level accepts. Levels are 5, 6
and 7; 8 for a client that says it is 7.0.163 or later, which knows `steering-message`; and 9 for
chunks that no level is sure to accept. A bare `v=7` may be 7.0.0, which knows neither that chunk
nor the finish reason `interrupted` (7.0.149).

Source: `uiMessageChunkSchema` of ai 5.0.277, 6.0.326, 7.0.0, 7.0.77 and 7.0.173. Unknown
*fields* are tolerated since 5.0.217, 6.0.231 and 7.0.32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.protocol.chunks import (
    KNOWN_CHUNKS,
    AnyChunk,
    Chunk,
    CustomChunk,
    FinishChunk,
    FinishReason,
    OpaqueChunk,
    ReasoningFileChunk,
    ResetStepChunk,
    SteeringMessageChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolOutputDeniedChunk,
)
from midstream.protocol.codec import data_chunk
from midstream.protocol.parts import json_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec import UnsetType

LOWEST_LEVEL: Final = 5
HIGHEST_LEVEL: Final = 7
STEERING_LEVEL: Final = 8
STEERING_SINCE: Final = (7, 0, 163)
BEYOND_LEVELS: Final = 9
"""The level of chunks that no level is sure to accept."""

_TYPE_SINCE: Final[dict[type[Chunk], int]] = {
    ToolApprovalRequestChunk: 6,
    ToolOutputDeniedChunk: 6,
    ToolApprovalResponseChunk: 7,
    ReasoningFileChunk: 7,
    CustomChunk: 7,
    ResetStepChunk: 7,
    SteeringMessageChunk: STEERING_LEVEL,
}
"""Type -> the first level that knows it; 5 if it is not listed."""

_EVERYWHERE: Final = frozenset(KNOWN_CHUNKS.values()) - _TYPE_SINCE.keys() - {FinishChunk}
"""The types that every level knows in every form: nearly all chunks."""

_REASON_SINCE: Final[dict[FinishReason | UnsetType, int]] = {
    "interrupted": BEYOND_LEVELS,
    # Only ai 5 knows this one.
    "unknown": BEYOND_LEVELS,
}


def _reason_as_other(chunk: FinishChunk) -> FinishChunk:
    return msgspec.structs.replace(chunk, finish_reason="other")


def _steering_as_data(chunk: SteeringMessageChunk) -> OpaqueChunk:
    said = {"type": "delivered", "id": chunk.id, "parts": chunk.parts}
    return data_chunk("steering", json_of(said), id=chunk.id)


_OLDER_FORM: Final[dict[type[AnyChunk], Callable[[Any], AnyChunk]]] = {
    FinishChunk: _reason_as_other,
    SteeringMessageChunk: _steering_as_data,
}
"""Type -> its form for a level that does not know it; types that are not listed are left out.

`tool-output-denied` is left out, too: in ai 5 a `tool-output-error` could replace it, but must
say whether the call is dynamic, which this chunk does not say.
"""


def level_of(chunk: AnyChunk) -> int:
    """Return the lowest level that accepts the chunk; all higher ones do, too."""
    if isinstance(chunk, OpaqueChunk):
        return LOWEST_LEVEL if chunk.is_data else BEYOND_LEVELS
    if isinstance(chunk, FinishChunk):
        return _REASON_SINCE.get(chunk.finish_reason, LOWEST_LEVEL)
    return _TYPE_SINCE.get(type(chunk), LOWEST_LEVEL)


def level_of_chunks(chunks: Iterable[AnyChunk]) -> int:
    """Return the lowest level that accepts all of the chunks."""
    level = LOWEST_LEVEL
    for chunk in chunks:
        if type(chunk) not in _EVERYWHERE:
            level = max(level, level_of(chunk))
    return level


def accept(chunk: AnyChunk, level: int) -> AnyChunk | None:
    """Return the form of a chunk that a client of `level` gets; None if it gets none."""
    if level_of(chunk) <= level:
        return chunk
    older_form = _OLDER_FORM.get(type(chunk))
    return None if older_form is None else older_form(chunk)
