"""Ends of Anthropic's messages: stop reasons, in the gateway's words.

Source: @ai-sdk/anthropic 4.0.105, `map-anthropic-stop-reason.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from midstream.protocol.chunks import FinishReason

FINISH_REASONS: Final[dict[str | None, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "refusal": "content-filter",
    "tool_use": "tool-calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""The others are `other`."""

GOES_ON: Final = {"pause_turn", "tool_use"}
"""The model has not said its last word."""
