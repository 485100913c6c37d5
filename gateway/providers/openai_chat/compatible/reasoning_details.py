"""OpenRouter's `reasoning_details`: a model's thinking as its own API has it, in pieces.

A piece is plain text, a summary, or encrypted, and may be signed. A server that gets them back
as they were can continue a thought: some models refuse a conversation with tools otherwise.

Source: https://openrouter.ai/docs/use-cases/reasoning-tokens; @openrouter/ai-sdk-provider 3.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TEXTS: Final = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Type -> where its text is; of a piece that is encrypted nothing can be shown."""


class ReasoningDetails:
    """The details of a thought so far: deltas of one piece put together."""

    def __init__(self) -> None:
        """Begin without any."""
        self._pieces: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._pieces)

    def add(self, details: Iterable[Any]) -> None:
        """Take the details of one event."""
        for piece in _read(details):
            last = self._pieces[-1] if self._pieces else {}
            text = _text_field(piece)
            if text is None or any(last.get(key) != piece.get(key) for key in ("type", "index")):
                self._pieces.append(piece)
                continue
            known = {name: value for name, value in piece.items() if value is not None}
            before, more = last.get(text), known.get(text)
            if isinstance(before, str) and isinstance(more, str):
                known[text] = before + more
            last.update(known)

    def take(self) -> list[dict[str, Any]]:
        """Return the details so far, and begin anew."""
        pieces, self._pieces = self._pieces, []
        return pieces

    @staticmethod
    def text_of(details: Iterable[Any]) -> str:
        """Return what can be shown of the details of one event."""
        texts = (piece.get(_text_field(piece) or "") for piece in _read(details))
        return "".join(text for text in texts if isinstance(text, str))


def _read(details: Iterable[Any]) -> Iterator[dict[str, Any]]:
    return (piece for piece in details if isinstance(piece, dict))


def _text_field(piece: dict[str, Any]) -> str | None:
    kind = piece.get("type")
    return _TEXTS.get(kind) if isinstance(kind, str) else None
