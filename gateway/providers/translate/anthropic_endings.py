"""How Anthropic's messages end: stop reasons and errors, in the gateway's words.

Source: @ai-sdk/anthropic 4.0.105, `map-anthropic-stop-reason.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.providers.errors import Fault

if TYPE_CHECKING:
    from protocol.chunks import FinishReason

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

FAULTS: Final = {
    "api_error": Fault.FAILED,
    "authentication_error": Fault.CREDENTIALS,
    "billing_error": Fault.BILLING,
    "invalid_request_error": Fault.REFUSED,
    "not_found_error": Fault.NOT_FOUND,
    "overloaded_error": Fault.OVERLOADED,
    "permission_error": Fault.FORBIDDEN,
    "rate_limit_error": Fault.RATE_LIMITED,
    "request_too_large": Fault.TOO_LARGE,
    "timeout_error": Fault.SILENT,
}
"""An error event's type -> what it means; the others are `FAILED`."""
