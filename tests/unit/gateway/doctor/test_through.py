"""What is said of a stream, by when its bytes came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.doctor.through import Heard, judge
from midstream.doctor.way import said_by_gateway

if TYPE_CHECKING:
    import pytest


def test_stream_is_judged_by_when_its_bytes_came(subtests: pytest.Subtests) -> None:
    """The gateway sends some at once, and heartbeats later."""
    rows = [
        (Heard(first_s=0.1, later_s=15.0), {"streams": "ok", "idle": "ok"}),
        (Heard(), {"streams": "fault"}),
        (Heard(ended_s=30.0), {"streams": "fault"}),
        (Heard(first_s=9.0, later_s=15.0), {"streams": "fault"}),
        (Heard(first_s=0.1), {"streams": "danger"}),
        (Heard(first_s=0.1, ended_s=10.0), {"streams": "ok", "idle": "danger"}),
    ]
    for heard, expected in rows:
        with subtests.test(repr(heard)):
            assert {v.subject: str(v.level) for v in judge(heard, 22)} == expected


def test_error_of_the_gateway_is_told_from_that_of_a_proxy() -> None:
    ours = said_by_gateway(b'{"error": {"code": "too_large", "message": "no", "temporary": false}}')
    assert ours is not None
    assert ours.code == "too_large"
    for body in (b"<html>413</html>", b"", b'{"message": "Payload Too Large"}', b'{"error": "no"}'):
        assert said_by_gateway(body) is None
