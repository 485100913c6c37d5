"""Repairs text of peers with UTF-16 strings: half characters, and bytes that are not UTF-8.

A JavaScript server may cut a character in two, with one half at the end of a delta and the other
at the beginning of the next. A lone half, or a byte that is not UTF-8, makes the whole event
unreadable. Halves are joined; what stays alone becomes U+FFFD, as browsers show it. Well-formed
text, which is nearly all, is not touched.

Source: https://encoding.spec.whatwg.org/#decode-and-enqueue-a-code-point (replacement);
https://tc39.es/ecma262/#sec-string.prototype.towellformed.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from midstream.protocol.json_values import repaired_strings, repaired_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPLACEMENT: Final = "\ufffd"

_ESCAPES: Final = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|u([dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Every escape of a JSON text, in order, so that `\\\\ud83d` does not count as one."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_HIGH: Final = ("\ud800", "\udbff")
_LOW: Final = ("\udc00", "\udfff")

_PART_NAMES: Final = (
    "id",
    "toolCallId",
    "item_id",
    "output_index",
    "content_index",
    "summary_index",
)
_BLOCK_TEXTS: Final = ("text", "thinking", "partial_json")
_CHAT_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")
_DETAIL_TEXTS: Final = ("text", "summary")

MAX_HALVES: Final = 16
"""Parts that may wait for the other half of a character at once."""

Place: TypeAlias = tuple[object, ...]
"""The text of a stream that a delta belongs to."""


def is_plain(data: bytes) -> bool:
    """Whether JSON is ASCII without escapes of other characters, and so needs no repair."""
    return data.isascii() and b"\\u" not in data


def well_formed(data: bytes) -> bytes:
    """Return JSON in which every string is well-formed; itself, if all are."""
    if is_plain(data):
        return data
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("utf-8", "replace").encode()
    if b"\\ud" in data or b"\\uD" in data:
        return _ESCAPES.sub(_whole, data)
    return data


def _whole(escape: re.Match[bytes]) -> bytes:
    high, low, alone = escape.groups()
    is_half = alone is not None or (high is not None and low is None)
    return b"\\ufffd" if is_half else escape.group()


class _Delta(NamedTuple):
    """The text of a delta event.

    Attributes:
        holder, key: its place in the event.
        around: makes an event with only this text.
    """

    place: Place
    holder: dict[str, Any]
    key: str
    around: Callable[[dict[str, Any]], Any]

    @property
    def text(self) -> str:
        """The text as received."""
        return str(self.holder[self.key])

    def set(self, text: str) -> None:
        """Replace the text in the event."""
        self.holder[self.key] = text

    def alone(self, text: str) -> Any:
        """Return an event with only `text`, in the same place."""
        return self.around({self.key: text})


class TextHalves:
    """Joins half characters in the deltas of one text, given as Python strings."""

    def __init__(self) -> None:
        self._high = ""

    @property
    def waits(self) -> bool:
        """Whether half a character waits for the next delta."""
        return bool(self._high)

    def add(self, delta: str) -> str:
        """Return the complete part of a delta; half a character at its end waits for the next."""
        if not self._high and (delta.isascii() or _HALF.search(delta) is None):
            return delta
        text, self._high = self._high + delta, ""
        if _is_high(text[-1:]):
            text, self._high = text[:-1], text[-1]
        return repaired_text(text)

    def rest(self) -> str:
        """End the text: return U+FFFD for a half that still waits, else nothing."""
        waited, self._high = self._high, ""
        return REPLACEMENT if waited else ""


class EventHalves:
    """Joins half characters in the events of one stream, each a JSON text.

    Half a character at the end of a delta waits for the next delta of the same part. If another
    event comes first, or the stream ends (`rest`), it is returned as an event of its own.

    Attributes:
        waiting: the waiting halves, by place. While there are any, add every event; otherwise
            only those that are not `is_plain`.
    """

    def __init__(self) -> None:
        self.waiting: dict[Place, tuple[str, Any]] = {}

    def add(self, event: bytes) -> list[bytes]:
        """Return the events to use in place of this one; mostly itself alone."""
        if not (self.waiting or b"\\ud" in event or b"\\uD" in event):
            return [well_formed(event)]
        try:
            value = json.loads(event.decode("utf-8", "replace"))
            repaired = _encode(repaired_strings(value))
        except (ValueError, RecursionError):
            return [*self.rest(), well_formed(event)]
        deltas = _deltas_of(value)
        if not deltas:
            before = [] if _is_idle(value) else self.rest()
            return [*before, repaired]
        for delta in deltas:
            self._join(delta)
        return [_encode(repaired_strings(value))]

    def _join(self, delta: _Delta) -> None:
        waited = self.waiting.pop(delta.place, None)
        text = (waited[0] if waited else "") + delta.text
        half = ""
        if _is_high(text[-1:]) and len(self.waiting) < MAX_HALVES:
            text, half = text[:-1], text[-1]
        if half:
            self.waiting[delta.place] = half, delta.alone(REPLACEMENT)
        delta.set(repaired_text(text))

    def rest(self) -> list[bytes]:
        """End the stream: return events for the halves that still wait."""
        waiting, self.waiting = self.waiting, {}
        return [_encode(value) for _, value in waiting.values()]


def _is_high(text: str) -> bool:
    return bool(text) and _HIGH[0] <= text <= _HIGH[1]


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _is_idle(value: Any) -> bool:
    """Whether an event concerns no part."""
    return value is None or (isinstance(value, dict) and value.get("type") in ("ping", "keepalive"))


def _deltas_of(value: Any) -> list[_Delta]:
    """Find the texts of a delta event, in any of the protocols that we read."""
    if not isinstance(value, dict):
        return []
    if "choices" in value:
        return _chat_deltas(value)
    kind = str(value.get("type", ""))
    inner = value.get("delta")
    if kind == "content_block_delta" and isinstance(inner, dict):
        return _block_deltas(value, inner)
    if kind.endswith((".delta", "-delta")):
        key = "delta" if isinstance(inner, str) else "inputTextDelta"
        if isinstance(value.get(key), str):
            place = _place(kind, *map(value.get, _PART_NAMES))
            return [_Delta(place, value, key, lambda text: {**value, **text})]
    return []


def _place(*names: object) -> Place:
    """Return the key of a part with these names; lists and objects are not names."""
    return tuple(None if isinstance(name, list | dict) else name for name in names)


def _block_deltas(event: dict[str, Any], delta: dict[str, Any]) -> list[_Delta]:
    key = next((key for key in _BLOCK_TEXTS if isinstance(delta.get(key), str)), None)
    if key is None:
        return []

    def around(text: dict[str, Any]) -> Any:
        return {**event, "delta": {"type": delta.get("type"), **text}}

    return [_Delta(_place("block", event.get("index"), key), delta, key, around)]


def _chat_deltas(chunk: dict[str, Any]) -> list[_Delta]:
    """Find all texts: compatible servers write a thought into two places at once."""
    choice = next(_objects(chunk["choices"]), {})
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return []
    head = {name: chunk[name] for name in ("id", "model") if name in chunk}

    def around(inner: Callable[[dict[str, Any]], Any], text: dict[str, Any]) -> Any:
        return {**head, "choices": [{"index": choice.get("index"), "delta": inner(text)}]}

    return [
        each._replace(around=partial(around, each.around))
        for each in _chat_texts(delta)
        if isinstance(each.holder.get(each.key), str)
    ]


def _chat_texts(delta: dict[str, Any]) -> Iterator[_Delta]:
    """Yield the places of texts, each with a function that makes a delta of it alone."""
    for key in _CHAT_TEXTS:
        yield _Delta(_place("choice", key), delta, key, lambda text: text)
    for call in _objects(delta.get("tool_calls")):
        index = call.get("index")
        place = _place("choice", "arguments", index)
        for function in _objects([call.get("function")]):
            yield _Delta(place, function, "arguments", partial(_call_delta, index))
    for part in _objects(delta.get("content")):
        yield _Delta(_place("choice", "text"), part, "text", _text_part)
        for inner in _objects(part.get("thinking")):
            yield _Delta(_place("choice", "thinking"), inner, "text", _thinking_part)
    for piece in _objects(delta.get("reasoning_details")):
        names = {name: piece.get(name) for name in ("type", "index")}
        for key in _DETAIL_TEXTS:
            place = _place("choice", "details", key, *names.values())
            yield _Delta(place, piece, key, partial(_details_delta, names))


def _objects(values: object) -> Iterator[dict[str, Any]]:
    """Yield the objects in a list; nothing for another value."""
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def _call_delta(index: object, text: dict[str, Any]) -> Any:
    return {"tool_calls": [{"index": index, "function": text}]}


def _text_part(text: dict[str, Any]) -> Any:
    return {"content": [{"type": "text", **text}]}


def _thinking_part(text: dict[str, Any]) -> Any:
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", **text}]}]}


def _details_delta(names: dict[str, Any], text: dict[str, Any]) -> Any:
    return {"reasoning_details": [{**names, **text}]}
