"""Files of a person's message as Anthropic's image and document blocks.

Source: @ai-sdk/anthropic 4.0.105, `convert-to-anthropic-prompt.ts`.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from msgspec import structs

from midstream.providers.anthropic.prompt.options import AnthropicOptions
from midstream.providers.anthropic.stream.citations import CitedDocument
from midstream.providers.conversation.files import ModelFile, omission_note

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES_BETA: Final = "files-api-2025-04-14"
PDF_BETA: Final = "pdfs-2024-09-25"

_NO_OPTIONS: Final = AnthropicOptions()

_PDF: Final = "application/pdf"
_PLAIN: Final = "text/plain"
_PDF_PREFIX: Final = "JVBERi"  # "%PDF" as base64


def file_block(
    file: ModelFile, options: AnthropicOptions
) -> tuple[dict[str, object], frozenset[str]]:
    """Return a file's block, and the betas that it needs.

    A file that the model cannot be given becomes a sentence that says so: an error would
    come back with every further message of the conversation.
    """
    if file.references is not None:
        return _uploaded(file, options)
    source = _source(file)
    if source is None:
        return {"type": "text", "text": omission_note(file)}, frozenset()
    if file.top_level_type == "image":
        return {"type": "image", "source": source}, frozenset()
    betas = frozenset({PDF_BETA} if source.get("media_type") == _PDF or file.url else ())
    return _document(file, options, source), betas


def result_blocks(
    parts: Sequence[str | ModelFile],
) -> tuple[list[dict[str, object]], frozenset[str]]:
    """Return the blocks of a tool's result, and the betas that they need.

    As in a message, but a document has nothing besides its source.
    """
    blocks: list[dict[str, object]] = []
    betas: frozenset[str] = frozenset()
    for part in parts:
        if isinstance(part, str):
            if part:  # the API takes no empty ones
                blocks.append({"type": "text", "text": part})
            continue
        block, needed = file_block(structs.replace(part, filename=None), _NO_OPTIONS)
        if block["type"] == "text" and part.filename:
            block["text"] = omission_note(part)
        # The API fetches the content of an address, of any type.
        betas |= frozenset() if part.url is not None else needed
        blocks.append(block)
    return blocks, betas


def cited_document(file: ModelFile, options: AnthropicOptions) -> CitedDocument | None:
    """Return a file as what citations point at; None if it may not be cited."""
    if file.media_type not in (_PDF, _PLAIN) or not options.cites:
        return None
    return CitedDocument(
        title=file.filename or "Untitled Document",
        media_type=file.media_type,
        filename=file.filename,
    )


def _uploaded(
    file: ModelFile, options: AnthropicOptions
) -> tuple[dict[str, object], frozenset[str]]:
    file_id = (file.references or {}).get("anthropic")
    if file_id is None:
        return {"type": "text", "text": omission_note(file)}, frozenset()
    betas = frozenset({FILES_BETA})
    if options.container_upload:
        return {"type": "container_upload", "file_id": file_id}, betas
    kind = "image" if file.top_level_type == "image" else "document"
    return {"type": kind, "source": {"type": "file", "file_id": file_id}}, betas


def _source(file: ModelFile) -> dict[str, str] | None:
    """Return where a file's content is; None if the API does not take it."""
    media_type = file.media_type
    if file.url is not None:
        if file.top_level_type == "image" or media_type == _PDF:
            return {"type": "url", "url": file.url}
        return None
    content = file.base64
    if content is None:
        return None
    if file.top_level_type == "image":
        # Without a subtype its bytes are no image that we know.
        known = media_type.partition("/")[2] not in ("", "*")
        return _inline(media_type, content) if known else None
    if media_type == _PDF or (
        media_type in ("application", "application/*") and content.startswith(_PDF_PREFIX)
    ):
        return _inline(_PDF, content)
    if media_type == _PLAIN:
        text = _decoded(content)
        return None if text is None else {"type": "text", "media_type": _PLAIN, "data": text}
    return None


def _inline(media_type: str, content: str) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": content}


def _decoded(content: str) -> str | None:
    try:
        return base64.b64decode(content).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


def _document(
    file: ModelFile, options: AnthropicOptions, source: dict[str, str]
) -> dict[str, object]:
    block: dict[str, object] = {"type": "document", "source": source}
    if title := options.title or file.filename:
        block["title"] = title
    if options.context:
        block["context"] = options.context
    if options.cites:
        block["citations"] = {"enabled": True}
    return block
