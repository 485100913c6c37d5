"""Text of peers whose strings are UTF-16: half characters, and bytes that are no text.

A JavaScript server may cut a character in two, with one half at the end of a delta and the other
at the begin of the next; a half alone, or a byte that is no UTF-8, is no text at all, and nobody
can read what holds it. Halves are put together; what stays alone becomes U+FFFD, as browsers show
it. Nothing is done to what is well-formed, which is nearly everything.

Source: https://encoding.spec.whatwg.org/#decode-and-enqueue-a-code-point (replacement);
https://tc39.es/ecma262/#sec-string.prototype.towellformed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from protocol.json_values import repaired_strings, repaired_text

if TYPE_CHECKING:
    from collections.abc import Callable

REPLACEMENT: Final = "\ufffd"

_ESCAPES: Final = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|u([dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Every escape of a JSON text, one after the other: so that `\\\\ud83d` is none."""

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

MAX_HALVES: Final = 16
"""How many parts may wait for the other half of a character at once."""

Place: TypeAlias = tuple[object, ...]
"""Which text of a stream a delta belongs to."""


def is_plain(data: bytes) -> bool:
    """Whether JSON is ASCII without escapes of other characters: nothing can be wrong with it."""
    return data.isascii() and b"\\u" not in data


def well_formed(data: bytes) -> bytes:
    """Return JSON in which every string is text: itself, if it is so."""
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
        holder, key: where in the event it stands.
        around: makes the event that has this text alone.
    """

    place: Place
    holder: dict[str, Any]
    key: str
    around: Callable[[dict[str, Any]], Any]

    @property
    def text(self) -> str:
        """As it came."""
        return str(self.holder[self.key])

    def set(self, text: str) -> None:
        """Put another text in its place."""
        self.holder[self.key] = text

    def alone(self, text: str) -> Any:
        """Return an event that says `text` in the same place, and nothing else."""
        return self.around({self.key: text})


class TextHalves:
    """Deltas of one text, as a Python program has them from a JSON of somebody's."""

    def __init__(self) -> None:
        self._high = ""

    @property
    def waits(self) -> bool:
        """Whether half a character waits for the next delta."""
        return bool(self._high)

    def add(self, delta: str) -> str:
        """Return what is complete of a delta; half a character at its end waits for the next."""
        if not self._high and (delta.isascii() or _HALF.search(delta) is None):
            return delta
        text, self._high = self._high + delta, ""
        if _is_high(text[-1:]):
            text, self._high = text[:-1], text[-1]
        return repaired_text(text)

    def rest(self) -> str:
        """The text ends: return what stands for a half that has waited."""
        waited, self._high = self._high, ""
        return REPLACEMENT if waited else ""


class EventHalves:
    """The events of one stream, each a JSON text.

    In deltas, half a character waits for its other half in the next delta of the same part. It is
    returned as an event of its own if something else comes, at the latest with `rest`.

    Attributes:
        waiting: what waits, by its place. While there is anything, every event is to be added;
            else only those that are not `is_plain`.
    """

    def __init__(self) -> None:
        self.waiting: dict[Place, tuple[str, Any]] = {}

    def add(self, event: bytes) -> list[bytes]:
        """Return the events that stand for one, mostly itself."""
        if not (self.waiting or b"\\ud" in event or b"\\uD" in event):
            return [well_formed(event)]
        try:
            value = json.loads(event.decode("utf-8", "replace"))
            repaired = _encode(repaired_strings(value))
        except (ValueError, RecursionError):
            return [*self.rest(), well_formed(event)]
        delta = _delta_of(value)
        if delta is None:
            before = [] if _is_idle(value) else self.rest()
            return [*before, repaired]
        waited = self.waiting.pop(delta.place, None)
        text = (waited[0] if waited else "") + delta.text
        half = ""
        if _is_high(text[-1:]) and len(self.waiting) < MAX_HALVES:
            text, half = text[:-1], text[-1]
        if half:
            self.waiting[delta.place] = half, delta.alone(REPLACEMENT)
        delta.set(repaired_text(text))
        return [_encode(repaired_strings(value))]

    def rest(self) -> list[bytes]:
        """Return what stands for the halves that have waited in vain."""
        waiting, self.waiting = self.waiting, {}
        return [_encode(value) for _, value in waiting.values()]


def _is_high(text: str) -> bool:
    return bool(text) and _HIGH[0] <= text <= _HIGH[1]


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _is_idle(value: Any) -> bool:
    """Whether an event says nothing of any part."""
    return value is None or (isinstance(value, dict) and value.get("type") in ("ping", "keepalive"))


def _delta_of(value: Any) -> _Delta | None:
    """Find the text of an event that is a delta, in any of the protocols that we read."""
    if not isinstance(value, dict):
        return None
    if "choices" in value:
        return _chat_delta(value)
    kind = str(value.get("type", ""))
    inner = value.get("delta")
    if kind == "content_block_delta" and isinstance(inner, dict):
        return _block_delta(value, inner)
    if kind.endswith((".delta", "-delta")):
        key = "delta" if isinstance(inner, str) else "inputTextDelta"
        if isinstance(value.get(key), str):
            place = _place(kind, *map(value.get, _PART_NAMES))
            return _Delta(place, value, key, lambda text: {**value, **text})
    return None


def _place(*names: object) -> Place:
    """Return a key for a part of these names; a list or an object names none."""
    return tuple(None if isinstance(name, list | dict) else name for name in names)


def _block_delta(event: dict[str, Any], delta: dict[str, Any]) -> _Delta | None:
    key = next((key for key in _BLOCK_TEXTS if isinstance(delta.get(key), str)), None)
    if key is None:
        return None

    def around(text: dict[str, Any]) -> Any:
        return {**event, "delta": {"type": delta.get("type"), **text}}

    return _Delta(_place("block", event.get("index"), key), delta, key, around)


def _chat_delta(chunk: dict[str, Any]) -> _Delta | None:
    try:
        choice = chunk["choices"][0]
        delta = choice["delta"]
        found = [(delta, key, None) for key in _CHAT_TEXTS if isinstance(delta.get(key), str)]
        found += [
            (call["function"], "arguments", call.get("index"))
            for call in delta.get("tool_calls") or ()
            if isinstance(call["function"].get("arguments"), str)
        ]
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    if not found:
        return None
    with_half = (each for each in found if _HALF.search(each[0][each[1]]))
    holder, key, call_index = next(with_half, found[0])

    def around(text: dict[str, Any]) -> Any:
        if holder is not delta:
            text = {"tool_calls": [{"index": call_index, "function": text}]}
        head = {name: chunk[name] for name in ("id", "model") if name in chunk}
        return {**head, "choices": [{"index": choice.get("index"), "delta": text}]}

    return _Delta(_place("choice", key, call_index), holder, key, around)
