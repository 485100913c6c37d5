"""Contents of messages, as the three APIs have them, as parts of a UIMessage."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.codec import UNREADABLE, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_encode = msgspec.json.encode
_any = msgspec.json.Decoder()

_AUDIO: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class ToolResult(Struct, frozen=True):
    """What a call came to. `error_text`: set if it failed, and then all there is."""

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


def shown_parts(content: Raw) -> Sequence[Raw]:
    """Return a user's content as parts; what no browser can show is left out.

    Never empty: a message must say something, if only an empty text.
    """
    value = _any.decode(content)
    blocks = [{"text": value}] if isinstance(value, str) else value
    parts = [part for block in blocks or () if (part := _part(block)) is not None]
    return [Raw(_encode(part)) for part in parts or [_text("")]]


def _part(block: object) -> dict[str, Any] | None:
    if not isinstance(block, dict):
        return None
    if isinstance(text := block.get("text"), str):
        return _text(text)
    kind = block.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return None if reader is None else reader(block)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _file(url: object, media_type: str, name: object = None) -> dict[str, Any] | None:
    if not isinstance(url, str) or not url:
        return None
    if url.startswith("data:"):
        media_type = url[5:].partition(",")[0].partition(";")[0] or media_type
    part = {"type": "file", "mediaType": media_type, "url": url}
    return {**part, "filename": name} if isinstance(name, str) else part


def _chat_image(block: dict[str, Any]) -> dict[str, Any] | None:
    image = block.get("image_url")
    return _file(image.get("url") if isinstance(image, dict) else image, "image/*")


def _audio(block: dict[str, Any]) -> dict[str, Any] | None:
    audio = block.get("input_audio")
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        return None
    media_type = _AUDIO.get(str(audio.get("format")), "audio/*")
    return _file(f"data:{media_type};base64,{audio['data']}", media_type)


def _chat_file(block: dict[str, Any]) -> dict[str, Any] | None:
    file = block.get("file")
    return _input_file(file) if isinstance(file, dict) else None


def _input_file(block: dict[str, Any]) -> dict[str, Any] | None:
    url = block.get("file_data") or block.get("file_url")
    return _file(url, "application/octet-stream", block.get("filename"))


def _source(block: dict[str, Any]) -> dict[str, Any] | None:
    """Read an image or document of Anthropic's."""
    source = block.get("source")
    if not isinstance(source, dict):
        return None
    default = "image/*" if block["type"] == "image" else "application/pdf"
    media_type = source.get("media_type")
    media_type = media_type if isinstance(media_type, str) else default
    name = block.get("title")
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        encoded = source["data"].encode()
        return _file(_data_url("text/plain", encoded), "text/plain", name)
    if source.get("type") == "base64":
        return _file(f"data:{media_type};base64,{source.get('data')}", media_type, name)
    return _file(source.get("url"), media_type, name)


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


_READERS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]]] = {
    "image_url": _chat_image,
    "input_image": _chat_image,
    "input_audio": _audio,
    "file": _chat_file,
    "input_file": _input_file,
    "image": _source,
    "document": _source,
}
"""Type of a block that is no text -> how it is read."""
