"""Numbers beside an answer, read as loosely as servers write them: none of them decides over it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from midstream.protocol.codec import UNREADABLE

Fields = Mapping[str, object]


def object_in(raw: Raw) -> dict[str, object] | None:
    """Return a JSON object; None for anything else, or nothing."""
    if not bytes(raw).startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except UNREADABLE:
        return None


def fields_in(fields: Fields, name: str) -> Fields:
    """Return an object that is a field; an empty one if there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def count_in(fields: Fields, name: str) -> int | None:
    """Return a field's count; None if it holds none. `1.0` and `"1"` are 1."""
    value = fields.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
