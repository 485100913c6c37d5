"""Checks of an agent's arguments at the call, so that tracebacks point at the agent's own line."""

from __future__ import annotations

from typing import Final, get_args

from msgspec import UNSET, Raw, UnsetType

from midstream.protocol.chunks import FinishReason
from midstream.protocol.json_values import encode_json, repaired_text


def checked_text(method: str, name: str, value: object) -> str:
    """Return a string that can be sent; a lone surrogate in it becomes U+FFFD.

    Args:
        method: as the agent wrote it, for the error.
        name: of the argument.

    Raises:
        TypeError: it is no `str`.
    """
    if type(value) is str:
        return value if value.isascii() else repaired_text(value)
    if isinstance(value, str):
        return repaired_text(str.__str__(value))
    raise TypeError(f"unable to call {method}; `{name}` must be a str, not {_kind(value)}")


def checked_delta(method: str, name: str, value: object) -> str:
    """Return a piece of a text; half a character at its end may wait for the next piece.

    Raises:
        TypeError: it is no `str`.
    """
    return value if type(value) is str else checked_text(method, name, value)


def checked_optional(method: str, name: str, value: object) -> str | None:
    """Return None, or a string; see `checked_text`."""
    return None if value is None else checked_text(method, name, value)


def checked_json(method: str, name: str, value: object) -> Raw:
    """Return a value as JSON.

    Raises:
        TypeError: something in it has no JSON.
        ValueError: it is nested too deep, or a `Raw` is no JSON.
    """
    try:
        return encode_json(value)
    except TypeError as error:
        raise TypeError(f"unable to call {method}; `{name}` is not JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"unable to call {method}; `{name}` is not JSON: {error}") from None


def checked_object(method: str, name: str, value: object) -> Raw | UnsetType:
    """Return a JSON object, checked; UNSET stays UNSET.

    Raises:
        TypeError, ValueError: see `checked_json`.
    """
    if value is UNSET:
        return UNSET
    json = checked_json(method, name, value)
    if not bytes(json).lstrip().startswith(b"{"):
        raise TypeError(f"unable to call {method}; `{name}` must be a mapping, not {_kind(value)}")
    return json


def checked_reason(reason: FinishReason | None) -> FinishReason | None:
    """Return the reason of an answer's end, checked.

    Raises:
        TypeError: it is no `str`.
        ValueError: it is none of the protocol's.
    """
    if reason is None or reason in _REASONS:
        return reason
    kind = ValueError if isinstance(reason, str) else TypeError
    raise kind(
        f"unable to set run.finish_reason; it must be one of {', '.join(_REASONS)}, not {reason!r}"
    )


_REASONS: Final = get_args(FinishReason)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
