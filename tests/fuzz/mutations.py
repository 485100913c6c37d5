"""Changes to JSON that a careless or hostile sender might make; the same for the same dice."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

_MARK: Final = "~raw~"

_TOKENS: Final[tuple[bytes, ...]] = (
    b"1e999",
    b"-1e999",
    b"9" * 40,
    b"9" * 5_000,
    b"0.1e-400",
    b"-0",
    b"1.0",
    rb'"\ud83d"',
    rb'"a\ude00b"',
    rb'{"\ud83d":1}',
    b'"\xff\xfe"',
    b'"caf\xc3"',
    b'"\xed\xa0\xbd"',
    b'{"a":1,"a":[2]}',
    b"[" * 300 + b"]" * 300,
    b"[" * 3_000 + b"]" * 3_000,
    b'{"a":' * 600 + b"1" + b"}" * 600,
    b"NaN",
    b"undefined",
    b"",
)
"""Values that only the text of JSON has, and some that it has not."""

_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53 + 1,
    "",
    " ",
    "x",
    "file_1",
    "\x00",
    "\u2028",
    "null",
    "{}",
    "[",
    [],
    ["x"],
    [None],
    [[]],
    {},
    {"type": ["x"]},
    {"type": "program"},
    {"type": "text"},
    {"__proto__": {"x": 1}},
    {"constructor": {"prototype": 1}},
    {"id": None},
    {"": ""},
    "data:;base64,",
    "data:image/png;base64,@@@",
    "https://[",
)
"""Values of every type, to stand where another is meant."""

_NAMES: Final = ("type", "id", "index", "__proto__", "constructor", "", "text", "content", "caller")


def mutated(value: Any, dice: random.Random, *, times: int | None = None) -> Any:
    """Return a changed copy."""
    value = copy.deepcopy(value)
    for _ in range(times or dice.choice((1, 1, 1, 2, 3))):
        value = _changed(value, dice)
    return value


def text_of(value: Any) -> bytes:
    """Return a changed value's text, in which marks stand for text that JSON cannot hold."""
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for number, token in enumerate(_TOKENS):
        data = data.replace(f'"{_MARK}{number}"'.encode(), token)
    return data


def stream_of(events: Sequence[Any], dice: random.Random, *, changed: bool) -> bytes:
    """Return events as an event stream; some of them changed, lost, repeated or cut."""
    events = list(events)
    if changed and events:
        for _ in range(dice.choice((1, 1, 2, 3))):
            _change_order(events, dice)
            index = dice.randrange(len(events)) if events else 0
            if events:
                events[index] = mutated(events[index], dice)
    data = b"".join(_framed(event, dice if changed else None) for event in events)
    if changed and dice.random() < 0.1:
        data = _damaged(data, dice)
    return data


def pieces(data: bytes, dice: random.Random) -> Iterator[bytes]:
    """Cut bytes as a network might."""
    while data:
        size = dice.choice((1, 7, 60, 400, 4_000, len(data)))
        yield data[:size]
        data = data[size:]


def _framed(event: Any, dice: random.Random | None) -> bytes:
    text = event.encode(errors="replace") if isinstance(event, str) else text_of(event)
    text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    name = event.get("type") if isinstance(event, dict) else None
    head = b""
    if isinstance(name, str) and (dice is None or dice.random() < 0.9):
        line = name.encode("utf-8", "replace").split(b"\n")[0].split(b"\r")[0]
        head = b"event: " + line + b"\n"
    return head + b"data: " + text + b"\n\n"


def _change_order(events: list[Any], dice: random.Random) -> None:
    match dice.randrange(8):
        case 0 if events:
            del events[dice.randrange(len(events))]
        case 1 if events:
            index = dice.randrange(len(events))
            events.insert(index, copy.deepcopy(events[index]))
        case 2 if len(events) > 1:
            one, two = dice.sample(range(len(events)), 2)
            events[one], events[two] = events[two], events[one]
        case 3 if dice.random() < 0.3:
            del events[dice.randrange(len(events) + 1) :]
        case _:
            pass


def _damaged(data: bytes, dice: random.Random) -> bytes:
    """Change bytes, with no regard to their meaning."""
    damaged = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        if damaged:
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    if dice.random() < 0.3:
        del damaged[dice.randrange(len(damaged) + 1) :]
    return bytes(damaged)


def _changed(value: Any, dice: random.Random) -> Any:
    places = [((), value), *_places(value)]
    path, found = dice.choice(places)
    if not path:
        return _in_place_of(found, dice) if dice.random() < 0.1 else value
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    match dice.randrange(10):
        case 0 | 1:
            del holder[key]
        case 2 if isinstance(holder, dict):
            holder[dice.choice(_NAMES)] = holder.pop(key)
        case 3 if isinstance(holder, dict):
            holder[dice.choice(_NAMES)] = _any(dice)
        case 4:
            holder[key] = [found] if dice.random() < 0.5 else {"x": found}
        case 5 if len(places) > 1:
            holder[key] = copy.deepcopy(dice.choice(places)[1])
        case 6 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(found))
        case _:
            holder[key] = _in_place_of(found, dice)
    return value


def _in_place_of(found: Any, dice: random.Random) -> Any:
    if isinstance(found, str) and dice.random() < 0.2:
        return dice.choice((found + "\ud83d", found[: len(found) // 2], found * 2, f"{found}\n"))
    return _any(dice)


def _any(dice: random.Random) -> Any:
    if dice.random() < 0.3:
        return f"{_MARK}{dice.randrange(len(_TOKENS))}"
    return copy.deepcopy(dice.choice(_VALUES))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = enumerate(value)
    for key, each in items:
        yield (*path, key), each
        yield from _places(each, (*path, key))
