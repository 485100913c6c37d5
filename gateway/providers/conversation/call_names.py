"""Ids and names of calls as an API takes them.

A history's calls may be another provider's, whose ids and names hold what this one refuses
(`functions.weather:0`). What fits stays as it is.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

MAX_ANTHROPIC_NAME: Final = 128
MAX_OPENAI_NAME: Final = 64
MAX_CALL_ID: Final = 64
"""The Responses API refuses longer ids."""

MAX_CHAT_CALL_ID: Final = 40
"""Chat Completions refuses longer ids."""

_VISIBLE: Final = re.compile(r"[!-~]+")
_REFUSED: Final = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS: Final = 8


def fitting(text: str, limit: int) -> str:
    """Return an id or a name that an API takes: itself, or one that is always the same for it."""
    fitted = _REFUSED.sub("_", text)
    if fitted == text and 0 < len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGITS]
    return f"{fitted[: limit - _DIGITS - 1]}_{digest}"


def readable(call_id: str) -> str:
    """Return an id for a server that may read in its own: itself, if it is of visible ASCII.

    Kimi's count the calls of a function, LiteLLM's hold the signature of a thought.
    """
    return call_id if _VISIBLE.fullmatch(call_id) else fitting(call_id, MAX_CALL_ID)
