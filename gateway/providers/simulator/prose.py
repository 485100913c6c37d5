"""Readable Markdown of any length, the same for the same seed.

It stands for what a model would say: headings, paragraphs, lists, a table now and then,
code blocks, and a few characters outside ASCII, so that cuts through UTF-8 are seen.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_SUBJECTS = (
    "A durable log", "The reader", "Every subscriber", "A slow connection", "The producer",
    "One careful engineer", "The café's wireless network", "A second browser tab",
    "The phone in your pocket", "An honest error message", "The first token",
    "A well chosen position", "The person who waits", "A retry", "The network",
)  # fmt: skip
_VERBS = (
    "remembers", "outlives", "depends on", "quietly replaces", "waits for", "explains",
    "is older than", "agrees with", "returns to", "never loses", "points at", "begins with",
)  # fmt: skip
_OBJECTS = (
    "what was already said", "the next sentence", "a connection that went away",
    "the order of events", "the answer you saw yesterday", "a decision made elsewhere",
    "every step before it", "the place where reading stopped", "one clear ending",
    "a promise that can be tested", "the other device", "the smallest useful record",
)  # fmt: skip
_TURNS = (
    "because the work is not over when the line drops",
    "and nobody has to ask twice",
    "so that a reload is only a pause",
    "even when the train enters a tunnel",
    "which is why the order matters more than the speed",
    "although few people ever notice it",
    "as long as each part is closed before the next one opens",
    "— and that is the whole idea",
)  # fmt: skip
_OPENERS = ("", "", "", "In practice, ", "Put simply, ", "Most of the time, ", "For example, ")
_HEADINGS = (
    "What to look at first", "How it works", "A small example", "Where it breaks",
    "Trade-offs", "Step by step", "What others do", "A note on naming", "Summary",
)  # fmt: skip
_CODE = (
    "```python\nasync def follow(log, position):\n    async for record in log.after(position):\n"
    "        yield record\n```",
    "```ts\nconst chat = useChat({ resume: true });\nawait chat.stop();\n```",
    "```sh\ncurl -N http://localhost:8000/api/chat/demo/stream\n```",
    '```json\n{"type": "text-delta", "id": "0", "delta": "Hello → wörld"}\n```',
)
_THOUGHTS = (
    "First, what is being asked.", "The question has two halves, and the second is harder.",
    "An example would make this clear.", "Let me check the order of the steps.",
    "That would fail when the connection drops, so it needs another look.",
    "A list is easier to read than a paragraph here.", "The numbers agree.",
    "It is worth naming the limits as well.", "Now for the answer itself.",
)  # fmt: skip
# Pieces about as long as a tokenizer's, and together every character of the text.
_PIECES = re.compile(r"\s?[^\W\d_]{1,7}|\s?\d{1,3}|\s?[^\s\w]{1,3}|_|\s+|.", re.DOTALL)


class Dice:
    """A small deterministic generator: equal seeds throw equal numbers, on every platform."""

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big") | 1

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        # Knuth's MMIX constants; the low bits of such a generator are poor, so drop them.
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 33) % limit

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[self.below(len(options))]


def split_pieces(text: str) -> list[str]:
    """Split `text` into pieces of a token's size; joined, they are `text` again."""
    return _PIECES.findall(text)


def write_answer(prompt: str) -> Iterator[str]:
    """Yield the answer to `prompt`, one block of Markdown at a time, without end."""
    dice = Dice(prompt)
    topic = " ".join(prompt.split())
    if topic:
        excerpt = topic if len(topic) <= 60 else f"{topic[:57].rstrip()}…"
        yield f"You asked: *{excerpt}* Here is what matters.\n\n"
    yield _paragraph(dice)
    while True:
        yield f"## {dice.pick(_HEADINGS)}\n\n"
        yield _paragraph(dice)
        kind = dice.below(4)
        if kind == 0:
            yield "".join(f"- {_clause(dice)}\n" for _ in range(3 + dice.below(3))) + "\n"
        elif kind == 1:
            yield "".join(f"{n}. {_clause(dice)}\n" for n in range(1, 4 + dice.below(2))) + "\n"
        elif kind == 2:
            yield dice.pick(_CODE) + "\n\n"
        else:
            yield _table(dice)


def write_thoughts(prompt: str) -> Iterator[str]:
    """Yield the reasoning before the answer to `prompt`, a sentence at a time, without end."""
    dice = Dice(f"reasoning:{prompt}")
    while True:
        yield dice.pick(_THOUGHTS) + " "


def take_pieces(blocks: Iterator[str], count: int) -> tuple[str, ...]:
    """Return the first `count` pieces of `blocks`."""
    pieces: list[str] = []
    while len(pieces) < count:
        pieces += split_pieces(next(blocks))
    return tuple(pieces[:count])


def take_whole(blocks: Iterator[str], at_least: int) -> tuple[str, ...]:
    """Return at least that many pieces of `blocks`, and end with a whole block."""
    pieces: list[str] = []
    text = ""
    while len(pieces) < at_least or text.startswith("#"):
        text = next(blocks)
        pieces += split_pieces(text)
    return tuple(pieces)


def take_sized(blocks: Iterator[str], count: int, size: int) -> tuple[str, ...]:
    """Return `count` pieces of `size` bytes of UTF-8 each.

    No character is split: a piece that one would overrun is filled up with spaces.
    """
    pieces: list[str] = []
    rest = ""
    while len(pieces) < count:
        while len(rest) < size:
            rest += next(blocks)
        piece = rest[:size].encode()[:size].decode(errors="ignore")
        rest = rest[len(piece) :]
        pieces.append(piece + " " * (size - len(piece.encode())))
    return tuple(pieces)


def _sentence(dice: Dice) -> str:
    opener, subject = dice.pick(_OPENERS), dice.pick(_SUBJECTS)
    if opener:
        subject = subject[0].lower() + subject[1:]
    tail = f", {dice.pick(_TURNS)}" if dice.below(2) else ""
    return f"{opener}{subject} {dice.pick(_VERBS)} {dice.pick(_OBJECTS)}{tail}."


def _clause(dice: Dice) -> str:
    return f"**{dice.pick(_SUBJECTS)}** {dice.pick(_VERBS)} {dice.pick(_OBJECTS)}."


def _paragraph(dice: Dice) -> str:
    return " ".join(_sentence(dice) for _ in range(2 + dice.below(3))) + "\n\n"


def _table(dice: Dice) -> str:
    rows = "".join(f"| {dice.pick(_SUBJECTS)} | {dice.pick(_OBJECTS)} |\n" for _ in range(3))
    return f"| who | what |\n|---|---|\n{rows}\n"
