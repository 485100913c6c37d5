"""A provider's report decides the sentence of a failure, and is logged without keys."""

from __future__ import annotations

import pytest

from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import (
    Told,
    failure_in,
    failure_of,
    fault_of,
    read_failure,
    reports_failure,
)
from midstream.telemetry import MAX_QUOTED_CHARS, quoted

SHAPES: dict[bytes, Told] = {
    b'{"error":{"message":"m","type":"t","code":"c"}}': Told(message="m", type="t", code="c"),
    b'{"type":"error","error":{"type":"t","message":"m"}}': Told(message="m", type="t"),
    b'{"error":"m"}': Told(message="m"),
    b'{"error":{"message":"m","code":429}}': Told(message="m", code="429"),
    b'{"type":"error","code":"c","message":"m"}': Told(message="m", type="error", code="c"),
    b'{"object":"error","message":"m","type":"t","code":400}': Told(
        message="m", type="t", code="400"
    ),
    b'{"detail":"m"}': Told(message="m"),
    b'[{"error":{"code":400,"message":"m","status":"t"}}]': Told(message="m", type="t", code="400"),
    b'{"type":"response.failed","response":{"error":{"code":"c","message":"m"}}}': Told(
        message="m", type="response.failed", code="c"
    ),
    b'{"type":"response.failed","response":{"error":null}}': Told(type="response.failed"),
    b"CUDA out of memory": Told(message="CUDA out of memory"),
    b"\xff": Told(message="\ufffd"),
    b"": Told(),
    b"[]": Told(),
}


@pytest.mark.parametrize("body", SHAPES)
def test_failure_is_read_in_any_shape(body: bytes) -> None:
    """OpenAI's, Anthropic's, vLLM's, FastAPI's, Google's, and plain text."""
    assert read_failure(body) == SHAPES[body]


FAULTS: list[tuple[str, str, int | None, Fault]] = [
    ("context_length_exceeded", "invalid_request_error", 400, Fault.TOO_LONG),
    ("context_length_exceeded", "", None, Fault.TOO_LONG),
    ("400", "exceed_context_size_error", 400, Fault.TOO_LONG),
    ("", "ContextWindowExceededError", 400, Fault.TOO_LONG),
    ("", "request_too_large", 413, Fault.TOO_LARGE),
    ("insufficient_quota", "insufficient_quota", 429, Fault.BILLING),
    ("", "billing_error", 402, Fault.BILLING),
    ("rate_limit_exceeded", "requests", 429, Fault.RATE_LIMITED),
    ("", "overloaded_error", None, Fault.OVERLOADED),
    ("", "overloaded_error", 529, Fault.OVERLOADED),
    ("invalid_api_key", "invalid_request_error", 401, Fault.CREDENTIALS),
    ("invalid_api_key", "invalid_request_error", None, Fault.CREDENTIALS),
    ("", "authentication_error", None, Fault.CREDENTIALS),
    ("", "permission_error", None, Fault.FORBIDDEN),
    ("model_not_found", "invalid_request_error", 404, Fault.NOT_FOUND),
    ("", "not_found_error", None, Fault.NOT_FOUND),
    ("", "invalid_request_error", 400, Fault.REFUSED),
    ("", "invalid_request_error", None, Fault.REFUSED),
    ("", "timeout_error", None, Fault.SILENT),
    ("429", "", None, Fault.RATE_LIMITED),
    ("401", "", None, Fault.CREDENTIALS),
    ("", "api_error", None, Fault.FAILED),
    ("", "", 500, Fault.FAILED),
    ("", "", 529, Fault.OVERLOADED),
    ("", "", None, Fault.FAILED),
]


@pytest.mark.parametrize(("code", "kind", "status", "fault"), FAULTS)
def test_type_and_code_decide_before_the_status(
    code: str, kind: str, status: int | None, fault: Fault
) -> None:
    """For every provider, in a response of its own or inside a stream."""
    assert fault_of(Told(code=code, type=kind), status) is fault


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", Fault.TOO_LONG),
        (
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            Fault.TOO_LONG,
        ),
        ("Your credit balance is too low to access the Anthropic API.", Fault.BILLING),
        ("messages.0: the prompt is too long", Fault.REFUSED),
    ],
)
def test_what_anthropic_has_no_type_for_goes_by_how_its_message_begins(
    message: str, fault: Fault
) -> None:
    """All of them are `invalid_request_error`."""
    assert fault_of(Told(type="invalid_request_error", message=message), 400) is fault


def test_note_says_what_the_provider_said_and_no_key() -> None:
    """Status, type, code, request id and message; the key is left out in whatever form."""
    error = failure_of(
        Told(message="no such key: sk-proj-abcdefghijklm or plainkey123", type="t", code="c"),
        status=401,
        headers={"x-request-id": "req_1", "retry-after": "3"},
        secrets=["plainkey123"],
    )
    assert error.note == (
        'status=401 type=t code=c request_id="req_1" '
        'message="no such key: [redacted] or [redacted]"'
    )
    assert error.retry_after_s == 3.0
    assert "no such key" not in error.message


def test_what_is_quoted_is_one_line_and_bounded() -> None:
    """Even if the provider sends a page, a novel, or a line break for the log."""
    line = quoted(message="a\nerror b " + "x" * 5000)
    assert "\n" not in line
    assert len(line) < MAX_QUOTED_CHARS + 30


def test_event_that_is_no_json_is_a_failure_with_its_text_as_note() -> None:
    """As some servers write behind `error:`."""
    failure = failure_in(b"CUDA out of memory")
    assert failure.message == Fault.FAILED.error().message
    assert failure.note == 'message="CUDA out of memory"'


def test_event_with_bytes_that_are_no_text_is_still_looked_at(subtests: pytest.Subtests) -> None:
    """A decoder that skips a field lets them pass: nothing is raised for them here either."""
    for event, expected in {
        b'{"detail":"\xff"}': True,
        b'{"\xfb":1,"error":{"message":"m"}}': True,
        b'{"object":"chat\xfbcompletion.chunk"}': False,
        b"[]": False,
        b"\xff": False,
    }.items():
        with subtests.test(event=event):
            assert reports_failure(event) is expected
