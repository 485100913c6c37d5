"""Failures in a provider's words: read in any shape, named, and quoted to operators.

People get the sentence of a fault; which one is decided by the provider's `type` and `code`,
then by the HTTP status. Operators get the provider's own words in the log (`GatewayError.note`):
bounded, and without keys.

Source: https://platform.openai.com/docs/guides/error-codes;
https://docs.anthropic.com/en/api/errors; @ai-sdk/openai 4.0.118, `openai-stream-error.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.failures.faults import Fault, status_fault
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from midstream.errors import ProviderError


class Told(Struct, frozen=True, kw_only=True):
    """A failure in its provider's words; what it does not say is empty.

    Attributes:
        code: as text; some compatible servers put the HTTP status there.
    """

    message: str = ""
    type: str = ""
    code: str = ""


_WORDS: Final[tuple[tuple[str, Fault], ...]] = (
    ("context_length", Fault.TOO_LONG),  # OpenAI, Azure, Groq, Mistral, Together
    ("context_size", Fault.TOO_LONG),  # llama.cpp
    ("context_window", Fault.TOO_LONG),
    ("contextwindow", Fault.TOO_LONG),  # LiteLLM
    ("prompt_too_long", Fault.TOO_LONG),
    ("too_large", Fault.TOO_LARGE),
    ("quota", Fault.BILLING),
    ("billing", Fault.BILLING),
    ("insufficient_", Fault.BILLING),  # funds, balance, credits
    ("invalid_api_key", Fault.CREDENTIALS),
    ("authentication", Fault.CREDENTIALS),
    ("unauthenticated", Fault.CREDENTIALS),
    ("model_not_found", Fault.NOT_FOUND),
    ("overload", Fault.OVERLOADED),
    ("rate_limit", Fault.RATE_LIMITED),
)
"""Part of a code or type -> its meaning under any HTTP status; the first match counts."""

_STREAM_WORDS: Final[tuple[tuple[str, Fault], ...]] = (
    ("permission", Fault.FORBIDDEN),
    ("not_found", Fault.NOT_FOUND),
    ("invalid", Fault.REFUSED),
    ("bad_request", Fault.REFUSED),
    ("timeout", Fault.SILENT),
)
"""The same for failures inside a stream, which have no status."""

_UNNAMED: Final[tuple[tuple[str, Fault], ...]] = (
    ("prompt is too long", Fault.TOO_LONG),
    ("input length and `max_tokens` exceed context limit", Fault.TOO_LONG),
    ("Your credit balance is too low", Fault.BILLING),
)
"""Beginnings of Anthropic's messages whose failure has no type of its own: all of them are an
`invalid_request_error`, and only the message tells them from a bad request."""


def read_failure(data: bytes | str) -> Told:
    """Read an error's body or event of any shape; never raises."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return Told(message=text.strip())
    return _told(value)


def _told(value: object) -> Told:
    if isinstance(value, list) and value:
        value = value[0]  # Google's
    if not isinstance(value, dict):
        return Told(message=value if isinstance(value, str) else "")
    inner = value.get("error")
    if inner is None and isinstance(value.get("response"), dict):
        inner = value["response"].get("error")
    if isinstance(inner, dict):
        told = _told(inner)
        kind = _text(value.get("type"))
        return (
            told if told.type or kind in ("", "error") else msgspec.structs.replace(told, type=kind)
        )
    message = inner if isinstance(inner, str) else value.get("message")
    return Told(
        message=_text(message if message is not None else value.get("detail")),
        type=_text(value.get("type") or value.get("status")),
        code=_text(value.get("code")),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def is_failure(value: Mapping[str, object]) -> bool:
    """Whether an event's object, which its API does not have, reports a failure.

    With an `error`, as vLLM's `{"object": "error", "message": …}`, or as FastAPI's `detail`.
    """
    if value.get("error") is not None or value.get("object") == "error":
        return True
    named = "code" in value or "type" in value
    return "detail" in value or (named and isinstance(value.get("message"), str))


def tells_of_failure(event: bytes) -> bool:
    """Whether an event that names no type of its API is a failure. See `is_failure`."""
    value = _fields(event)
    return "type" not in value and is_failure(value)


def reports_failure(event: bytes) -> bool:
    """Whether an event that is none of its API's is a failure. See `is_failure`.

    Never raises: a decoder that skips a field does not look whether its bytes are text, so an
    event that was read once may hold bytes that are none.
    """
    return is_failure(_fields(event))


def _fields(event: bytes) -> dict[str, object]:
    """Return an event's object, its bad bytes replaced; empty if it is no object."""
    try:
        return msgspec.json.decode(event.decode("utf-8", "replace"), type=dict[str, object])
    except UNREADABLE:
        return {}


def fault_of(told: Told, status: int | None = None) -> Fault:
    """Return what a failure means.

    Args:
        status: of the HTTP response; None for a failure inside a stream.
    """
    words = f"{told.code} {told.type}".lower()
    for word, fault in _WORDS:
        if word in words:
            return fault
    for begin, fault in _UNNAMED:
        if told.message.startswith(begin):
            return fault
    if status is not None and status >= 400:
        return status_fault(status)
    if told.code.isdecimal() and 400 <= int(told.code) < 600:
        return status_fault(int(told.code))
    for word, fault in _STREAM_WORDS:
        if word in words:
            return fault
    return Fault.FAILED


def failure_of(
    told: Told,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    secrets: Iterable[str] = (),
    fault: Fault | None = None,
) -> ProviderError:
    """Return the error that a failure stands for, with its note for the log.

    Args:
        status, headers: of the HTTP response, if it is one.
        secrets: what the request was made with: never quoted, however the provider repeats it.
        fault: what it means, if that is known without its words.
    """
    headers = headers or {}
    error = (fault or fault_of(told, status)).error(retry_after_s=retry_after_s(headers))
    error.note = quoted(
        status=status,
        type=told.type,
        code=told.code,
        request_id=request_id_of(headers),
        message=told.message,
        secrets=secrets,
    )
    return error


def failure_in(event: bytes) -> ProviderError:
    """Return the error that an event of a stream stands for."""
    return failure_of(read_failure(event))


REQUEST_IDS: Final = ("request-id", "x-request-id", "apim-request-id", "x-ms-request-id")


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the provider's own id of a request, from its response's headers; empty if none."""
    return next((headers[name] for name in REQUEST_IDS if name in headers), "")


def note_request(failure: ProviderError, headers: Mapping[str, str]) -> None:
    """Add which request failed to the note of a failure inside its response's stream."""
    if "request_id=" not in failure.note:
        told = quoted(request_id=request_id_of(headers))
        failure.note = " ".join(filter(None, (failure.note, told)))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms` or `retry-after`; a date in it is not worth parsing."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    return None
