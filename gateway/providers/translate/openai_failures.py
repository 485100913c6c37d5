"""Errors that OpenAI's APIs report inside a stream, by their machine-readable words.

Source: @ai-sdk/openai 4.0.118, `openai-stream-error.ts`, which reads the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.providers.errors import Fault, status_fault

if TYPE_CHECKING:
    from gateway.errors import ProviderError

UNREADABLE_EVENT: Final = "unable to understand a part of what the model provider answered"

_FAULT_WORDS: Final[tuple[tuple[str, Fault], ...]] = (
    ("insufficient_quota", Fault.BILLING),
    ("rate_limit", Fault.RATE_LIMITED),
    ("authentication", Fault.CREDENTIALS),
    ("permission", Fault.FORBIDDEN),
    ("not_found", Fault.NOT_FOUND),
    ("context_length", Fault.TOO_LARGE),
    ("invalid", Fault.REFUSED),
    ("bad_request", Fault.REFUSED),
    ("overload", Fault.OVERLOADED),
    ("timeout", Fault.SILENT),
)
"""Part of a code or type -> what it means; the first that fits."""


def stream_failure(code: str | int | None, kind: str | None) -> ProviderError:
    """Return the error that an error event stands for.

    Args:
        code: the event's `code`; some compatible servers put the HTTP status there.
        kind: its `type`.
    """
    if str(code).isdecimal() and 400 <= int(str(code)) < 600:
        return status_fault(int(str(code))).error()
    words = f"{code} {kind}".lower()
    for word, fault in _FAULT_WORDS:
        if word in words:
            return fault.error()
    return Fault.FAILED.error()
