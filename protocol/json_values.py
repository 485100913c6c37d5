"""Encodes values of other programs as JSON that every client can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from midstream.protocol.codec import UNREADABLE, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

TAKEN: Final = (
    "None, bool, int, float, str, lists, mappings with str keys, dataclasses, datetimes, UUIDs, "
    "enums, msgspec Structs and pydantic models"
)
"""The accepted types, for errors. NaN and the infinities become `null`, as JavaScript writes
them; bytes become base64, and Decimals strings."""


def encode_json(value: object) -> Raw:
    """Return a value as JSON on one line; a `Raw` holds JSON already, and is checked.

    Raises:
        TypeError: a value in it has no JSON.
        ValueError: it is nested too deep, or a `Raw` is not JSON.
    """
    if isinstance(value, Raw):
        return _checked(value)
    try:
        return Raw(one_line(_encoder.encode(value)))
    except UnicodeEncodeError:
        return Raw(one_line(_encoder.encode(_repaired(value))))
    except RecursionError:
        raise ValueError("it is nested too deep, or holds itself") from None


def repaired_text(text: str) -> str:
    """Return text with U+FFFD for each lone surrogate, which cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _checked(value: Raw) -> Raw:
    try:
        bytes(value).decode()
        msgspec.json.decode(value, type=Raw)
    except UNREADABLE as error:
        raise ValueError(f"it is no JSON; {error}") from None
    return Raw(one_line(bytes(value)))


def _plain(value: Any) -> object:
    """Convert a value of a type that msgspec does not know into types that it knows.

    Raises:
        TypeError: it has no JSON.
    """
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, str):  # these are subclasses: numpy's float64 is one of float
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if type(value) in (tuple, list, dict, set, frozenset):
        raise TypeError("a mapping's keys must be str")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no JSON; it may hold {TAKEN}")


def repaired_strings(value: object) -> object:
    """Return a value of plain types with U+FFFD for each lone surrogate in its strings.

    Without recursion: JSON from outside may be nested as deep as its decoder allows.
    """
    top: list[object] = []
    todo: list[tuple[object, Callable[[object], object]]] = [(value, top.append)]
    while todo:
        each, put = todo.pop()
        if isinstance(each, str):
            put(repaired_text(each))
        elif isinstance(each, list | tuple):
            items: list[object] = [None] * len(each)
            put(items)
            todo += [(item, partial(items.__setitem__, i)) for i, item in enumerate(each)]
        elif isinstance(each, dict):
            fields: dict[str, object] = dict.fromkeys(map(repaired_text, each))
            put(fields)
            todo += [
                (item, partial(fields.__setitem__, repaired_text(key)))
                for key, item in reversed(each.items())
            ]
        else:
            put(each)
    return top[0]


def _repaired(value: object) -> object:
    return repaired_strings(msgspec.to_builtins(value, enc_hook=_plain, str_keys=True))


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
