"""Contents of messages as parts of a UIMessage: what the APIs have in common."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.codec import UNREADABLE, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_encode = msgspec.json.encode
_any = msgspec.json.Decoder()

Block = dict[str, Any]
BlockReaders: TypeAlias = "Mapping[str, Callable[[Block], Block | None]]"
"""Type of a block that is no text -> what makes a part of it; None: no part."""


class ToolResult(Struct, frozen=True):
    """Result of a call. `error_text`: set if it failed, and then all there is."""

    call_id: str
    output: Raw = Raw(b"null")
    error_text: str | None = None


def result_of(call_id: str, content: Raw, *, failed: bool = False) -> ToolResult:
    """Return a tool's result: text that is a JSON object or array is shown as that."""
    value = _any.decode(content)
    text = value if isinstance(value, str) else _text_of(value)
    if failed:
        return ToolResult(call_id, error_text=text or "The tool failed.")
    if text is None:
        return ToolResult(call_id, Raw(one_line(bytes(content))))
    if text.lstrip()[:1] in ("{", "["):
        try:
            return ToolResult(call_id, Raw(msgspec.json.format(text.encode(), indent=-1)))
        except UNREADABLE:
            pass
    return ToolResult(call_id, Raw(_encode(text)))


def _text_of(value: object) -> str | None:
    """Return the text of a list of text blocks; None if there is anything else in it."""
    if not isinstance(value, list):
        return None
    texts = [block.get("text") if isinstance(block, dict) else None for block in value]
    return "".join(map(str, texts)) if texts and None not in texts else None


def shown_parts(content: Raw, readers: BlockReaders) -> Sequence[Raw]:
    """Return a user's content as parts; what no browser can show is left out.

    Never empty: a message must say something, if only an empty text.
    """
    value = _any.decode(content)
    blocks = [{"text": value}] if isinstance(value, str) else value
    parts = [part for block in blocks or () if (part := _part(block, readers)) is not None]
    return [Raw(_encode(part)) for part in parts or [_text("")]]


def _part(block: object, readers: BlockReaders) -> Block | None:
    if not isinstance(block, dict):
        return None
    if isinstance(text := block.get("text"), str):
        return _text(text)
    kind = block.get("type")
    reader = readers.get(kind) if isinstance(kind, str) else None
    return None if reader is None else reader(block)


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def file_part(url: object, media_type: str, name: object = None) -> Block | None:
    """Return the part of a file at a URL; None for one that has none."""
    if not isinstance(url, str) or not url:
        return None
    if url.startswith("data:"):
        media_type = url[5:].partition(",")[0].partition(";")[0] or media_type
    part = {"type": "file", "mediaType": media_type, "url": url}
    return {**part, "filename": name} if isinstance(name, str) else part


def data_url(media_type: str, content: bytes) -> str:
    """Return content as a URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
