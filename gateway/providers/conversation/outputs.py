"""A tool's output for its model, where that is more than JSON: texts and files.

The content stands in the metadata of the result, `midstream.modelOutput`: as the AI SDK writes
it (`{"type": "content", "value": […]}`), or `true` if the result's output is that itself.

Source: @ai-sdk/provider-utils, `types/content-part.ts` (`ToolResultOutput`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.messages import FilePart
from midstream.providers.conversation.files import ModelFile, model_file

if TYPE_CHECKING:
    from midstream.protocol.chunks import Json
    from midstream.protocol.messages import ToolPart

NAMESPACE: Final = "midstream"
"""Name under which the metadata is kept."""


class OutputData(Struct, omit_defaults=True):
    """A file's content: one of `data` (base64), `url` and `reference` (an id by provider)."""

    type: str
    data: str | None = None
    url: str | None = None
    reference: Mapping[str, str] | None = None


class OutputPart(Struct, omit_defaults=True, rename="camel"):
    """A text or a file."""

    type: str
    text: str | None = None
    media_type: str | None = None
    filename: str | None = None
    data: OutputData | None = None


class Content(Struct, tag="content"):
    """All of it; parts as they are written."""

    value: Raw


class _OutputMark(Struct, rename="camel"):
    model_output: Raw


class _OutputMetadata(Struct):
    midstream: _OutputMark | None = None


_metadata_decoder: Final = msgspec.json.Decoder(_OutputMetadata)
_content_decoder: Final = msgspec.json.Decoder(Content)
_parts_decoder: Final = msgspec.json.Decoder(list[OutputPart])


def output_content(part: ToolPart) -> Json | None:
    """Return the parts that a model is to read of a result, as JSON; None: its output."""
    metadata = part.result_provider_metadata
    if metadata is UNSET or b'"midstream"' not in bytes(metadata) or part.output is UNSET:
        return None
    try:
        mark = _metadata_decoder.decode(metadata).midstream
        if mark is None:
            return None
        raw = part.output if bytes(mark.model_output) == b"true" else mark.model_output
        value = _content_decoder.decode(raw).value
        _parts_decoder.decode(value)
    except UNREADABLE:
        return None
    return value


def content_parts(value: Json) -> list[str | ModelFile]:
    """Return texts and files of what `output_content` has returned."""
    parts = _parts_decoder.decode(value)
    return [part.text or "" if part.data is None else _file(part, part.data) for part in parts]


def _file(part: OutputPart, data: OutputData) -> ModelFile:
    media_type = part.media_type or "application/octet-stream"
    if data.reference is not None:
        return ModelFile(media_type=media_type, references=data.reference, filename=part.filename)
    url = data.url if data.url is not None else f"data:{media_type};base64,{data.data or ''}"
    filename = UNSET if part.filename is None else part.filename
    return model_file(FilePart(media_type=media_type, url=url, filename=filename))
