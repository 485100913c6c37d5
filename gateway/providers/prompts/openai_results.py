"""What a tool call came to, as the text that OpenAI's models read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from gateway.providers.prompts.json_text import stringified

if TYPE_CHECKING:
    from gateway.providers.prompts.model_messages import ModelToolResult

_DENIAL: Final = "Tool call execution denied."


def result_text(result: ModelToolResult) -> str:
    """Return a result as text: itself, its JSON, or what went wrong."""
    if result.kind == "text":
        return result.text()
    if result.kind == "execution-denied":
        return result.text() or _DENIAL
    value = "null" if result.value is UNSET else stringified(result.value)
    return value if result.kind == "json" else f'{{"error":{value}}}'
