"""Files of a message as a model is given them: inline, by address, or by the provider's id.

Source: ai 7.0.173, `prompt/file-part-data.ts`; @ai-sdk/provider-utils `detect-media-type.ts`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from midstream.protocol.messages import FilePart


class ModelFile(Struct, frozen=True, kw_only=True):
    """A file; one of `base64`, `url` and `references` is set.

    Attributes:
        media_type: `image/png`; of inline images, what their bytes say.
        base64: its content.
        url: an http(s) address, for the provider to fetch.
        references: the file's id at each provider.
    """

    media_type: str
    base64: str | None = None
    url: str | None = None
    references: Mapping[str, str] | None = None
    filename: str | None = None
    metadata: Json | UnsetType = UNSET

    @property
    def top_level_type(self) -> str:
        """`image` of `image/png`."""
        return self.media_type.partition("/")[0]

    @property
    def data_url(self) -> str:
        """Its content as a `data:` URL."""
        return f"data:{self.media_type};base64,{self.base64}"


_IMAGE_SIGNATURES: Final[tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...]] = (
    ("image/gif", ((0, b"GIF87a"),)),
    ("image/gif", ((0, b"GIF89a"),)),
    ("image/png", ((0, b"\x89PNG"),)),
    ("image/jpeg", ((0, b"\xff\xd8"),)),
    ("image/webp", ((0, b"RIFF"), (8, b"WEBP"))),
    ("image/bmp", ((0, b"BM"), (6, b"\0\0\0\0"))),
    ("image/tiff", ((0, b"II*\0"),)),
    ("image/tiff", ((0, b"MM\0*"),)),
    ("image/avif", ((0, b"\0\0\0"), (4, b"ftypavif"))),
    ("image/heic", ((0, b"\0\0\0"), (4, b"ftypheic"))),
)
"""Media type -> what must stand where in the first bytes."""

_HEAD_BYTES: Final = 24


def model_file(part: FilePart) -> ModelFile:
    """Convert a file part. An unreadable one has neither content nor address."""
    filename = None if part.filename is UNSET else part.filename
    if part.provider_reference is not UNSET:
        references: dict[str, str] = {}
        with suppress(*UNREADABLE):
            references = msgspec.json.decode(part.provider_reference, type=dict[str, str])
        return ModelFile(
            media_type=part.media_type,
            references=references,
            filename=filename,
            metadata=part.provider_metadata,
        )
    media_type, content, url = part.media_type, None, None
    if part.url.startswith("data:"):
        header, _, content = part.url.partition(",")
        media_type = header.removeprefix("data:").partition(";")[0] or media_type
        media_type = _image_type(content) or media_type
    elif part.url.startswith(("http://", "https://")):
        url = part.url if _path_of(part.url) else f"{part.url}/"
    return ModelFile(
        media_type=media_type,
        base64=content,
        url=url,
        filename=filename,
        metadata=part.provider_metadata,
    )


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def omission_note(file: ModelFile) -> str:
    """Return the note that takes the place of a file that a model cannot get."""
    name = f" {file.filename}" if file.filename else ""
    return f"[A file{name} of type {file.media_type} is not shown: this model cannot read it.]"


def _image_type(content: str) -> str | None:
    """Return the media type of base64 content that begins as an image does."""
    try:
        head = base64.b64decode(content[: _HEAD_BYTES // 3 * 4])
    except (binascii.Error, ValueError):
        return None
    for media_type, marks in _IMAGE_SIGNATURES:
        if all(head[at : at + len(mark)] == mark for at, mark in marks):
            return media_type
    return None
