"""Removes keys for which clients refuse to read JSON.

The AI SDK's clients protect prototypes: a chunk with a key `__proto__` at any depth, or with an
object `constructor` that has a key `prototype`, ends their stream with an error. A tool's output,
or a page that it read, may hold such keys. They are removed before anything is stored.

Source: @ai-sdk/provider-utils 3.0.36, 4.0.64 and 5.0.81, `secure-json-parse.ts`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from midstream.protocol.codec import decode, encode, encode_lines, one_line
from midstream.protocol.deltas import only_words
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.json_values import repaired_strings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk


def _spelled(name: str) -> str:
    """Return a pattern for a key, whose characters may be escaped."""
    return "".join(f"(?:{c}|\\\\u00{ord(c) >> 4:x}{_digit(ord(c) & 15)})" for c in name)


def _digit(value: int) -> str:
    return str(value) if value < 10 else f"[{value:x}{value:X}]"


_ABSENT: Final = object()

_SUSPECT: Final = re.compile(
    rf'"(?:{_spelled("__proto__")}|{_spelled("constructor")})"\s*:'.encode()
)


def is_suspect(data: bytes) -> bool:
    """Whether JSON may hold such a key; if not, this costs a search for three words."""
    if b"__proto__" in data or b"constructor" in data or b"\\u00" in data:
        return _SUSPECT.search(data) is not None
    return False


def is_refused(data: bytes) -> bool:
    """Whether clients refuse to read this JSON."""
    return is_suspect(data) and _without(data)[1]


def without_refused_keys(data: bytes) -> bytes:
    """Return JSON without the keys for which clients refuse it; itself, if it has none.

    Numbers keep their spelling.

    Raises:
        MalformedFrameError: it is suspect, and nested too deep to be searched.
    """
    if not is_suspect(data):
        return data
    cleaned, refused = _without(data)
    return cleaned if refused else data


def encode_readable(chunks: Sequence[AnyChunk]) -> tuple[bytes, Sequence[AnyChunk]]:
    """Return chunks that clients can read, and their lines as `encode_lines` makes them.

    Refused keys are removed, and bytes that are not UTF-8 become U+FFFD.

    Raises:
        MalformedFrameError: see `without_refused_keys`.
    """
    payload = encode_lines(chunks)
    if only_words(chunks):
        return payload, chunks
    if _is_text(payload) and not is_suspect(payload):
        return payload, chunks
    cleaned = [_cleaned(chunk) for chunk in chunks]
    return encode_lines(cleaned), cleaned


def _is_text(payload: bytes) -> bool:
    """Whether bytes are UTF-8; JSON from others was not checked before."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cleaned(chunk: AnyChunk) -> AnyChunk:
    line = encode(chunk)
    without = without_refused_keys(line)
    if not _is_text(without):
        without = without.decode(errors="replace").encode()
    return chunk if without is line else decode(without)


def _without(data: bytes) -> tuple[bytes, bool]:
    """Return JSON without refused keys, and whether it had any."""
    text = data.decode(errors="replace")
    try:
        value = json.loads(text, parse_int=_as_written, parse_float=_as_written)
        had = _take_out(value)
        return one_line(_encoded(value)), had
    except RecursionError:
        raise MalformedFrameError("unable to read JSON that is nested so deep") from None


def _take_out(value: object) -> bool:
    """Remove refused keys from a value; return whether it had any."""
    had = False
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left += each
        elif isinstance(each, dict):
            had |= each.pop("__proto__", _ABSENT) is not _ABSENT
            constructor = each.get("constructor")
            if isinstance(constructor, dict):
                had |= constructor.pop("prototype", _ABSENT) is not _ABSENT
            left += each.values()
    return had


def _as_written(number: str) -> Raw:
    return Raw(number.encode())


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(repaired_strings(value))
