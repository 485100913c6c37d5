"""Log lines: one event a line, and never a secret."""

from __future__ import annotations

import logging

import pytest

from midstream.telemetry import LineFormatter, redact, redact_url


def line(message: str, *arguments: object, failed: BaseException | None = None) -> str:
    exc_info = None if failed is None else (type(failed), failed, failed.__traceback__)
    record = logging.LogRecord("midstream.x", logging.INFO, "x", 1, message, arguments, exc_info)
    record.created, record.msecs = 0.0, 7.0
    return LineFormatter().format(record)


def test_line_is_time_level_and_event() -> None:
    """A line can be searched and split by blanks."""
    assert (
        line("run_opened run=%s", "run_1") == "1970-01-01T00:00:00.007Z info run_opened run=run_1"
    )


def test_line_stays_one_line() -> None:
    """Nothing that somebody sends can begin a line of its own."""
    assert line("event value=%s", "a\n2026-01-01 info forged\r\x1b[31m").count("\n") == 0


def test_traceback_is_part_of_its_line() -> None:
    """A fault's traceback is kept whole, and stays with its event."""
    text = line("internal_error", failed=ValueError("two\nlines"))
    assert "ValueError" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/chat/c1/stream?token=SECRET HTTP/1.1",
        "GET /api/chat/c1/stream?after=1&token=SECRET&x=1",
        "authorization: Bearer SECRET",
        "Authorization: bearer SECRET",
    ],
)
def test_tokens_are_redacted(text: str) -> None:
    """In every log line, also in a library's warning."""
    assert "SECRET" not in redact(text)
    assert "SECRET" not in line("%s", text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pass@host:6379/0?password=pass", "redis://user:***@host:6379/0"),
        ("redis://:pass@host", "redis://:***@host"),
        ("redis://pass@host", "redis://***@host"),
        ("redis://host:6379", "redis://host:6379"),
    ],
)
def test_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """A Redis URL is named in errors and logs."""
    assert redact_url(url) == shown
