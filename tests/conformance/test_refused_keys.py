"""Compares our list of refused keys with the AI SDK's clients, which refuse such JSON."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

from midstream.protocol.refused_keys import is_refused, without_refused_keys
from tests.conformance.deviations import deviates
from tests.support.node_program import node_program

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_VERSION: Final = ["ai5", "ai6", "ai7"]

NAMES: Final = ("__proto__", "constructor", "prototype", "a", "_proto_", "__proto__ ", "toString")

TEXTS: Final = [
    r'{"\u005f_proto__":1}',
    r'{"_\u005F\u0070roto__" : 1}',
    r'{"con\u0073tructor":{"\u0070rototype":{}}}',
    '{"constructor":null}',
    '{"constructor":[]}',
    '{"constructor":{"a":{"prototype":1}}}',
    '{"constructor":{"prototype":1},"constructor":2}',
    '{"constructor":2,"constructor":{"prototype":1}}',
    '{"__proto__":1,"__proto__":2}',
    r'{"a":"\"__proto__\": 1"}',
    '{"__proto__"\n:\t1}',
    '["__proto__"]',
    '"__proto__"',
    r'{"__proto__\u0000":1}',
    r'{"__proto__":"\ud83d"}',
    '{"__proto__":1,"n":[1e999,123456789012345678901234567890,1.0,-0]}',
]


def written(dice: random.Random, depth: int = 0) -> str:
    """Write random JSON with the names that matter."""
    kind = dice.randrange(3 if depth < 4 else 1)
    if kind == 0:
        return dice.choice(("1", "null", '"__proto__"', r'"\"constructor\":{\"prototype\":1}"'))
    size = dice.randrange(4)
    if kind == 1:
        return f"[{','.join(written(dice, depth + 1) for _ in range(size))}]"
    pairs = (f"{spelled(dice)} : {written(dice, depth + 1)}" for _ in range(size))
    return f"{{{','.join(pairs)}}}"


def spelled(dice: random.Random) -> str:
    """Write a name with some of its characters escaped."""
    letters = (
        f"\\u{ord(c):04{dice.choice('xX')}}" if dice.random() < 0.1 else c
        for c in dice.choice(NAMES)
    )
    return f'"{"".join(letters)}"'


def generated() -> Iterator[str]:
    """Yield texts, always the same ones."""
    dice = random.Random(7)  # noqa: S311 - a test's
    for _ in range(2_000):
        yield written(dice)


@deviates("refused-keys-left-out")
def test_texts_that_clients_refuse_are_known_and_what_is_left_of_them_is_read() -> None:
    """Every version reads the rest, for any spelling and depth; other texts stay unchanged."""
    texts = [*TEXTS, *generated()]
    cleaned = [without_refused_keys(text.encode()).decode() for text in texts]
    with node_program("refused_keys.mjs") as clients:
        refused, after = clients.ask_all(texts), clients.ask_all(cleaned)

    assert sum(answer == EVERY_VERSION for answer in refused) > 200
    for text, answer, left in zip(texts, refused, cleaned, strict=True):
        assert answer == (EVERY_VERSION if is_refused(text.encode()) else []), text
        assert (left == text) is (answer == []), text
    assert after == [[]] * len(texts)


def test_numbers_stay_as_they_were_written() -> None:
    """The remaining values keep their spelling."""
    left = without_refused_keys(TEXTS[-1].encode())
    assert left == b'{"n":[1e999,123456789012345678901234567890,1.0,-0]}'
    value: Any = json.loads(without_refused_keys(rb'{"__proto__":1,"a":"\ud83d"}'))
    assert value == {"a": "\ufffd"}
