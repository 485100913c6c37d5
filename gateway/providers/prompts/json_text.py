"""JSON as the text that JavaScript writes: what a model reads of inputs and outputs.

A history's JSON is stored as it came, with its writer's blanks, escapes and numbers. The AI SDK
parses it and writes it again, and a provider caches prompts by their very characters.
"""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from protocol.chunks import Json

# Where a number may be written in another way: `1.0`, `1e3`.
_FRACTION: Final = re.compile(rb"[0-9][.eE]")
_MAX_PLAIN_DIGITS: Final = 21
_MAX_LEADING_ZEROS: Final = 6


def stringified(value: Json) -> str:
    """Return what `JSON.stringify` writes for a value.

    But for whole numbers that JavaScript would round: they keep their digits.
    """
    with suppress(*UNREADABLE):
        decoded = msgspec.json.decode(value)
        if _FRACTION.search(bytes(value)):
            decoded = _with_js_numbers(decoded)
        return msgspec.json.encode(decoded).decode()
    # Half a surrogate pair, in an escape: JavaScript has such strings, UTF-8 has not.
    return bytes(value).decode("utf-8", "replace")


def _with_js_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return msgspec.Raw(_number(value).encode())
    if isinstance(value, list):
        return [_with_js_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_js_numbers(each) for name, each in value.items()}
    return value


def _number(value: float) -> str:
    """Return a number as JavaScript's `Number::toString` writes it."""
    if value == 0:
        return "0"
    sign, parts, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - JSON has neither NaN nor infinity
    digits = "".join(map(str, parts)).rstrip("0")
    exponent += len(parts) - len(digits)
    minus = "-" * sign
    # The decimal point stands behind so many digits.
    point = len(digits) + exponent
    if exponent >= 0 and point <= _MAX_PLAIN_DIGITS:
        return f"{minus}{digits}{'0' * exponent}"
    if 0 < point <= _MAX_PLAIN_DIGITS:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -_MAX_LEADING_ZEROS < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if digits[1:] else ""
    return f"{minus}{digits[0]}{rest}e{point - 1:+d}"
