"""JSON as JavaScript writes it."""

from __future__ import annotations

import pytest
from msgspec import Raw

from midstream.providers.conversation.json_text import stringified


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ('{ "a" : [1, 2.0, 1e3] }', '{"a":[1,2,1000]}'),
        (r'"\u00e9\ud83d\ude00\u2028"', '"é😀\u2028"'),
        (r'"\u001F\n\u0008\/"', r'"\u001f\n\b/"'),
        ("-0.0", "0"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("-1.25e-7", "-1.25e-7"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("123456.789e3", "123456789"),
        ("1.5e300", "1.5e+300"),
        ("9007199254740993", "9007199254740993"),
        (r'["\ud800"]', r'["\ud800"]'),
    ],
)
def test_text_is_javascripts(given: str, text: str) -> None:
    """Blanks, escapes and numbers; whole numbers keep their digits."""
    assert stringified(Raw(given.encode())) == text
