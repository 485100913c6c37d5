"""Anthropic Messages, as streamed: the events, their deltas and citations, and their decoder.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-api.ts` (`anthropicChunkSchema`).
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE
from midstream.providers.anthropic.stream.blocks import NO_JSON, ContentBlock, ToolUseBlock, Wire
from midstream.providers.stream.loose import Side, read_loosely

# --- citations ------------------------------------------------------------------------------


class WebCitation(Wire, frozen=True, tag="web_search_result_location"):
    """A page that a web search found."""

    url: str
    cited_text: Side[str] = ""
    title: Side[str | None] = None
    encrypted_index: Side[str] = ""


class PageCitation(Wire, frozen=True, tag="page_location"):
    """Pages of a document; their numbers begin at 1, the end is excluded."""

    document_index: int
    cited_text: Side[str] = ""
    document_title: Side[str | None] = None
    start_page_number: Side[int] = 0
    end_page_number: Side[int] = 0
    file_id: Side[str | UnsetType | None] = UNSET


class CharCitation(Wire, frozen=True, tag="char_location"):
    """Characters of a text document; the end is excluded."""

    document_index: int
    cited_text: Side[str] = ""
    document_title: Side[str | None] = None
    start_char_index: Side[int] = 0
    end_char_index: Side[int] = 0
    file_id: Side[str | UnsetType | None] = UNSET


class BlockCitation(Wire, frozen=True, tag="content_block_location"):
    """Blocks of a document that was given as such; the end is excluded."""

    document_index: int
    cited_text: Side[str] = ""
    document_title: Side[str | None] = None
    start_block_index: Side[int] = 0
    end_block_index: Side[int] = 0
    file_id: Side[str | UnsetType | None] = UNSET


class SearchCitation(Wire, frozen=True, tag="search_result_location"):
    """Blocks of a search result that was given as such."""

    source: str
    cited_text: Side[str] = ""
    search_result_index: Side[int] = 0
    title: Side[str | None] = None
    start_block_index: Side[int] = 0
    end_block_index: Side[int] = 0


DocumentCitation: TypeAlias = PageCitation | CharCitation | BlockCitation
Citation: TypeAlias = WebCitation | DocumentCitation | SearchCitation


# --- deltas ---------------------------------------------------------------------------------


class TextDelta(Wire, frozen=True, gc=False, tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(Wire, frozen=True, gc=False, tag="thinking_delta"):
    """More of a thought."""

    thinking: str


class SignatureDelta(Wire, frozen=True, gc=False, tag="signature_delta"):
    """Proof that a thought is the provider's."""

    signature: str


class InputJsonDelta(Wire, frozen=True, gc=False, tag="input_json_delta"):
    """More of a tool call's input."""

    partial_json: str


class CompactionDelta(Wire, frozen=True, gc=False, tag="compaction_delta"):
    """More of a summary."""

    content: str | None = None


class CitationsDelta(Wire, frozen=True, tag="citations_delta"):
    """A source of the text so far; one that cannot be read is passed over."""

    citation: Side[Citation | None] = None


Delta: TypeAlias = (
    TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta | CompactionDelta | CitationsDelta
)


# --- events ---------------------------------------------------------------------------------


class BegunMessage(Struct, frozen=True):
    """The message that begins. `content`: calls that the provider made before it."""

    usage: Raw = NO_JSON
    id: Side[str | None] = None
    model: Side[str | None] = None
    content: list[ToolUseBlock] | None = None
    stop_reason: Side[str | None] = None


class MessageStart(Wire, frozen=True, tag="message_start"):
    """A message begins."""

    message: Side[BegunMessage] = BegunMessage()


class ContentBlockStart(Wire, frozen=True, tag="content_block_start"):
    """A block begins."""

    content_block: ContentBlock
    index: Side[int] = 0


class ContentBlockDelta(Wire, frozen=True, gc=False, tag="content_block_delta"):
    """More of a block."""

    delta: Delta
    index: Side[int] = 0


class ContentBlockStop(Wire, frozen=True, tag="content_block_stop"):
    """A block ends."""

    index: Side[int] = 0


class Stop(Struct, frozen=True):
    """End of the message."""

    stop_reason: Side[str | None] = None


class MessageDelta(Wire, frozen=True, tag="message_delta"):
    """The message is about to end."""

    delta: Stop = Stop()
    usage: Raw = NO_JSON


class MessageStop(Wire, frozen=True, tag="message_stop"):
    """The message ended."""


class Ping(Wire, frozen=True, tag="ping"):
    """The provider is still there."""


class ErrorEvent(Wire, frozen=True, tag="error"):
    """The provider failed."""

    error: Raw = NO_JSON


Event: TypeAlias = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | Ping
    | ErrorEvent
)

event_decoder: Final = msgspec.json.Decoder(Event)


def _tags() -> frozenset[str]:
    pending: list[type[Wire]] = [Wire]
    tags: set[str] = set()
    while pending:
        children = pending.pop().__subclasses__()
        tags.update(str(child.__struct_config__.tag) for child in children)
        pending += children
    return frozenset(tags)


_KNOWN_TYPES: Final = _tags()


class _Inner(Struct):
    type: str | None = None


class _Middle(Struct):
    type: str | None = None
    content: _Inner | str | list[Raw] | None = None
    citation: _Inner | None = None


class _Outline(Struct):
    type: str
    content_block: _Middle | None = None
    delta: _Middle | None = None


_outline_decoder: Final = msgspec.json.Decoder(_Outline)


def read_event_loosely(event: bytes) -> Event:
    """Decode an event that the decoder has refused; raises as `read_loosely`."""
    return read_loosely(cast("type[Event]", Event), event)


def is_unknown(event: bytes) -> bool:
    """Whether an event that does not decode is of a type that we do not know.

    False for one that is not JSON, or that is of a known type and has another shape.
    """
    try:
        outline = _outline_decoder.decode(event)
    except UNREADABLE:
        return False
    middle = outline.content_block or outline.delta or _Middle()
    inner = middle.content if isinstance(middle.content, _Inner) else middle.citation
    types = {outline.type, middle.type, inner.type if inner is not None else None}
    return not types - {None} <= _KNOWN_TYPES
