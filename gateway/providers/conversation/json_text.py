"""JSON as the text that JavaScript writes: what a model reads of inputs and outputs.

A history's JSON is stored as it came, with its writer's blanks, escapes and numbers. The AI SDK
parses it and writes it again, and a provider caches prompts by their very characters.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.json_values import repaired_strings

if TYPE_CHECKING:
    from msgspec import Raw

    from midstream.protocol.chunks import Json

# Numbers with more than one spelling: `1.0`, `1e3`.
_FRACTION: Final = re.compile(rb"[0-9][.eE]")
_MAX_PLAIN_DIGITS: Final = 21
_MAX_INT_DIGITS: Final = 19
_MAX_LEADING_ZEROS: Final = 6


MAX_DEPTH: Final = 200
"""Most levels of a value in a prompt. No API takes much deeper ones, and each walk through a value
uses stack for each level."""


def sound(raw: bytes | Raw) -> bytes | Raw | None:
    """Return JSON that can be read as a whole: itself, if it can, else without what cannot.

    Bytes that are not UTF-8 and half surrogate pairs become U+FFFD, numbers that are out of
    range null. None: it is no JSON, or nested too deep.
    """
    data = bytes(raw)
    try:
        value = msgspec.json.decode(data)
        changed = False
    except UNREADABLE:
        try:
            value = json.loads(
                data.decode(errors="replace"), parse_int=_in_range, parse_float=_in_range
            )
        except (ValueError, RecursionError):
            return None
        changed = True
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        return None
    return msgspec.json.encode(repaired_strings(value)) if changed else raw


def _in_range(number: str) -> object:
    value = float(number)
    if value in (math.inf, -math.inf):
        return None
    is_small = len(number) <= _MAX_INT_DIGITS and not _FRACTION.search(number.encode())
    return int(number) if is_small else value


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    while level and depth >= 0:
        depth -= 1
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = inner
    return bool(level)


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
