"""Deltas of one part: several in a row say what a single one with all their text says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec import UNSET

from midstream.protocol.chunks import ReasoningDeltaChunk, TextDeltaChunk, ToolInputDeltaChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

DeltaKind: TypeAlias = (
    "type[TextDeltaChunk] | type[ReasoningDeltaChunk] | type[ToolInputDeltaChunk]"
)

_WORDS: Final = (TextDeltaChunk, ReasoningDeltaChunk)

_LINE_BYTES: Final = len(b'{"type":"text-delta","id":"","delta":""}\n')


def only_words(chunks: Sequence[AnyChunk]) -> bool:
    """Whether chunks are deltas of texts and thoughts with nothing besides, as nearly all are."""
    for chunk in chunks:
        if not isinstance(chunk, _WORDS) or chunk.provider_metadata is not UNSET:
            return False
    return True


def size_of_words(chunks: Sequence[AnyChunk]) -> int:
    """Return about how many bytes the lines of such deltas have.

    Raises:
        UnicodeEncodeError: a text has no UTF-8.
    """
    size = len(chunks) * _LINE_BYTES
    for chunk in chunks:
        text = text_of(chunk)
        size += len(text) if text.isascii() else len(text.encode())
    return size


class Extended(NamedTuple):
    """The part that a delta extends."""

    kind: DeltaKind
    part_id: str

    def by(self, text: str) -> AnyChunk:
        """Return the delta that extends it by a text."""
        if self.kind is ToolInputDeltaChunk:
            return ToolInputDeltaChunk(tool_call_id=self.part_id, input_text_delta=text)
        if self.kind is ReasoningDeltaChunk:
            return ReasoningDeltaChunk(id=self.part_id, delta=text)
        return TextDeltaChunk(id=self.part_id, delta=text)


def extended_by(chunk: AnyChunk) -> Extended | None:
    """Return the part that a chunk extends by text and nothing else; None if it is not so."""
    match chunk:
        case TextDeltaChunk() | ReasoningDeltaChunk() if chunk.provider_metadata is UNSET:
            return Extended(type(chunk), chunk.id)
        case ToolInputDeltaChunk():
            return Extended(ToolInputDeltaChunk, chunk.tool_call_id)
        case _:
            return None


def text_of(delta: AnyChunk) -> str:
    """Return the text by which a chunk extends its part."""
    if isinstance(delta, _WORDS):
        return delta.delta
    if isinstance(delta, ToolInputDeltaChunk):
        return delta.input_text_delta
    raise TypeError(f"{type(delta).__name__} extends no part")


def joined(chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
    """Return chunks with the deltas that follow each other in one part joined to one.

    The chunks themselves are returned if there are none to join.
    """
    result: list[AnyChunk] = []
    more: list[str] = []  # texts of the deltas that follow the last one of `result`
    for chunk in chunks:
        if result and _extend_one_part(result[-1], chunk):
            more.append(text_of(chunk))
            continue
        if more:
            result[-1] = _with_more(result[-1], more)
            more = []
        result.append(chunk)
    if more:
        result[-1] = _with_more(result[-1], more)
    return chunks if len(result) == len(chunks) else result


def _extend_one_part(one: AnyChunk, other: AnyChunk) -> bool:
    """Compare what `extended_by` returns, for less: nearly every chunk of a fast model is asked."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ToolInputDeltaChunk) and isinstance(other, ToolInputDeltaChunk):
        return one.tool_call_id == other.tool_call_id
    if isinstance(one, _WORDS) and isinstance(other, _WORDS):
        bare = one.provider_metadata is UNSET and other.provider_metadata is UNSET
        return bare and one.id == other.id
    return False


def _with_more(delta: AnyChunk, more: Sequence[str]) -> AnyChunk:
    part = extended_by(delta)
    assert part is not None  # noqa: S101 - it extends the same part as those that follow
    return part.by("".join([text_of(delta), *more]))
