"""Completes JSON that is still streaming as the AI SDK's clients complete it.

Source: `parsePartialJson` and `fixJson` in ai 7.0.173 (`src/util/fix-json.ts`). Clients show a
tool's streaming input as that code completes it, odd cases included, so the states and their
order are the same here.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.refused_keys import is_refused

_LITERALS: Final = ("true", "false", "null")


class _In(Enum):
    """The state of the scanner."""

    ROOT = auto()
    FINISH = auto()
    STRING = auto()
    STRING_ESCAPE = auto()
    STRING_UNICODE_ESCAPE = auto()
    LITERAL = auto()
    NUMBER = auto()
    OBJECT_START = auto()
    OBJECT_KEY = auto()
    OBJECT_AFTER_KEY = auto()
    OBJECT_BEFORE_VALUE = auto()
    OBJECT_AFTER_VALUE = auto()
    OBJECT_AFTER_COMMA = auto()
    ARRAY_START = auto()
    ARRAY_AFTER_VALUE = auto()
    ARRAY_AFTER_COMMA = auto()


_CLOSERS: Final = {
    state: "}" if state.name.startswith("OBJECT") else "]"
    for state in _In
    if state.name.startswith(("OBJECT", "ARRAY"))
} | {_In.STRING: '"'}

_VALUE_AFTER: Final = {
    _In.ROOT: _In.FINISH,
    _In.OBJECT_BEFORE_VALUE: _In.OBJECT_AFTER_VALUE,
    _In.ARRAY_START: _In.ARRAY_AFTER_VALUE,
    _In.ARRAY_AFTER_COMMA: _In.ARRAY_AFTER_VALUE,
}
"""States in which a value may begin -> the state after it."""

_VALUE_STARTS: Final = {
    '"': _In.STRING,
    "{": _In.OBJECT_START,
    "[": _In.ARRAY_START,
    "-": _In.NUMBER,
    **dict.fromkeys("0123456789", _In.NUMBER),
    **dict.fromkeys("ftn", _In.LITERAL),
}

_STEPS: Final = {
    (_In.OBJECT_START, '"'): _In.OBJECT_KEY,
    (_In.OBJECT_AFTER_COMMA, '"'): _In.OBJECT_KEY,
    (_In.OBJECT_KEY, '"'): _In.OBJECT_AFTER_KEY,
    (_In.OBJECT_AFTER_KEY, ":"): _In.OBJECT_BEFORE_VALUE,
    (_In.OBJECT_AFTER_VALUE, ","): _In.OBJECT_AFTER_COMMA,
    (_In.ARRAY_AFTER_VALUE, ","): _In.ARRAY_AFTER_COMMA,
}
"""Characters that change the state without completing a value."""

_ENDS: Final = {
    (_In.OBJECT_START, "}"),
    (_In.OBJECT_AFTER_VALUE, "}"),
    (_In.ARRAY_START, "]"),
    (_In.ARRAY_AFTER_VALUE, "]"),
    (_In.STRING, '"'),
}
"""Characters that end a value."""


class _Scanner:
    """Finds the usable part of a text, and the strings and brackets open at its end."""

    __slots__ = ("_hex_digits", "_literal_at", "_stack", "_text", "_usable")

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack = [_In.ROOT]
        self._usable = 0
        self._literal_at = 0
        self._hex_digits = 0

    def completed(self) -> str:
        """Return the usable text with everything open closed."""
        for index, char in enumerate(self._text):
            self._take(self._stack[-1], index, char)
        tail = []
        for state in reversed(self._stack):
            if state is _In.LITERAL:
                begun = self._text[self._literal_at :]
                tail.append(
                    next(word[len(begun) :] for word in _LITERALS if word.startswith(begun))
                )
            else:
                tail.append(_CLOSERS.get(state, ""))
        return self._text[: self._usable] + "".join(tail)

    def _take(self, state: _In, index: int, char: str) -> None:
        match state:
            case _In.STRING:
                self._in_string(index, char)
            case _In.STRING_ESCAPE | _In.STRING_UNICODE_ESCAPE:
                self._in_escape(state, index, char)
            case _In.NUMBER:
                self._in_number(index, char)
            case _In.LITERAL:
                self._in_literal(index, char)
            case _:
                self._between(state, index, char)

    def _between(self, state: _In, index: int, char: str) -> None:
        if (state, char) in _ENDS:
            self._usable = index + 1
            self._stack.pop()
        elif (state, char) in _STEPS:
            self._stack[-1] = _STEPS[state, char]
        elif state in _VALUE_AFTER:
            begun = _VALUE_STARTS.get(char)
            if begun is not None:
                self._stack[-1] = _VALUE_AFTER[state]
                self._stack.append(begun)
                self._literal_at = index
                if char != "-":
                    self._usable = index + 1
        elif state is _In.ARRAY_AFTER_VALUE:
            self._usable = index + 1

    def _in_string(self, index: int, char: str) -> None:
        if char == "\\":
            self._stack.append(_In.STRING_ESCAPE)
            return
        self._usable = index + 1
        if char == '"':
            self._stack.pop()

    def _in_escape(self, state: _In, index: int, char: str) -> None:
        if state is _In.STRING_ESCAPE:
            self._stack.pop()
            self._hex_digits = 0
            if char == "u":
                self._stack.append(_In.STRING_UNICODE_ESCAPE)
            else:
                self._usable = index + 1
        elif char in "0123456789abcdefABCDEF":
            self._hex_digits += 1
            if self._hex_digits == 4:
                self._stack.pop()
                self._usable = index + 1

    def _in_number(self, index: int, char: str) -> None:
        if char in "0123456789":
            self._usable = index + 1
        elif char not in "eE-.":
            self._stack.pop()
            self._after_scalar(index, char)

    def _in_literal(self, index: int, char: str) -> None:
        begun = self._text[self._literal_at : index + 1]
        if any(word.startswith(begun) for word in _LITERALS):
            self._usable = index + 1
        else:
            self._stack.pop()
            self._after_scalar(index, char)

    def _after_scalar(self, index: int, char: str) -> None:
        """Take the character behind a number or literal."""
        state = self._stack[-1]
        if (state, char) in _ENDS or (state, char) in _STEPS:
            self._between(state, index, char)


def parse_partial(text: str) -> Raw | UnsetType:
    """Return the JSON that a client shows for the beginning of a JSON text.

    UNSET if it shows none.
    """
    for candidate in (text, None):
        raw = (_Scanner(text).completed() if candidate is None else candidate).encode()
        try:
            msgspec.json.decode(raw)
            if is_refused(raw):
                continue
        except (*UNREADABLE, MalformedFrameError):
            continue
        return Raw(one_line(raw.strip()))
    return UNSET
