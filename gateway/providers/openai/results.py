"""Result of a tool call, as OpenAI's models read it: a text, or texts and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from midstream.providers.conversation.files import omission_note
from midstream.providers.conversation.json_text import stringified
from midstream.providers.conversation.outputs import content_parts

if TYPE_CHECKING:
    from midstream.providers.conversation.files import ModelFile
    from midstream.providers.conversation.messages import ModelToolResult

_DENIAL: Final = "Tool call execution denied."


def result_text(result: ModelToolResult) -> str:
    """Return a result as text: itself, its JSON, or what went wrong.

    Texts and files are JSON too: Chat Completions have no other place for them.
    """
    if result.kind == "text":
        return result.text()
    if result.kind == "execution-denied":
        return result.text() or _DENIAL
    value = "null" if result.value is UNSET else stringified(result.value)
    return value if result.kind in ("json", "content") else f'{{"error":{value}}}'


def result_items(result: ModelToolResult) -> list[dict[str, object]] | None:
    """Return a result's texts and files as the Responses API takes them; None if it has none."""
    if result.kind != "content" or result.value is UNSET:
        return None
    return [
        {"type": "input_text", "text": part} if isinstance(part, str) else _file(part)
        for part in content_parts(result.value)
    ]


def _file(file: ModelFile) -> dict[str, object]:
    is_image = file.top_level_type == "image"
    kind = "input_image" if is_image else "input_file"
    if file.references is not None and (file_id := file.references.get("openai")) is not None:
        return {"type": kind, "file_id": file_id}
    if file.url is not None:
        return {"type": kind, "image_url" if is_image else "file_url": file.url}
    if file.base64 is None:
        return {"type": "input_text", "text": omission_note(file)}
    if is_image:
        return {"type": kind, "image_url": file.data_url}
    return {"type": kind, "filename": file.filename or "data", "file_data": file.data_url}
