"""Readable Markdown of any length, the same for the same seed.

It stands for what a model would say: headings, paragraphs, lists, tables and code, and a few
characters outside ASCII, so that cuts through UTF-8 are seen. Its one subject is in `sections.py`;
of what else it knows, `known.py` has the answers.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

from midstream.simulator.words.known import answer_to, thoughts_on
from midstream.simulator.words.sections import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_SELF = (
    "I am a simulated model, and there is one subject that I know well: how an answer survives the "
    "connection that it comes over."
)
_THOUGHTS = (
    "First, what is being asked, and what would count as an answer.",
    "There are two halves to this, and the second one is harder.",
    "An example would make it clear, so I will look for a small one.",
    "Let me check the order of the steps before I write them down.",
    "That would fail when the connection drops, so it needs another look.",
    "A list is easier to read here than a paragraph.",
    "The limits are worth naming as well, not only what works.",
    "Someone who reads this on a phone will want the short version first.",
)
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
    known = answer_to(prompt)
    topic = " ".join(prompt.split())
    if known is not None:
        yield from _blocks(known)
    elif topic:
        yield f"You asked: *{_excerpt(topic)}* {_SELF}\n\n"
    dice = Dice(prompt)
    words = set(_WORD.findall(prompt.lower()))
    while True:
        # What was asked for first, then the others in an order of their own; all of them before
        # one comes again.
        waiting = list(_SECTIONS)
        first = max(waiting, key=lambda section: _relevance(words, section))
        if _relevance(words, first):
            waiting.remove(first)
            yield from first
        while waiting:
            yield from waiting.pop(dice.below(len(waiting)))


def _excerpt(topic: str) -> str:
    """Return at most 60 characters of `topic`, cut between words where there are any."""
    if len(topic) <= 60:
        return topic
    whole_words = topic[:58].rpartition(" ")[0]
    return f"{whole_words or topic[:57]}…"


def write_thoughts(prompt: str) -> Iterator[str]:
    """Yield the reasoning before the answer to `prompt`, a sentence at a time.

    Without end, unless there is something to think about.
    """
    known = thoughts_on(prompt)
    if known is not None:
        yield known
        return
    dice = Dice(f"reasoning:{prompt}")
    while True:
        waiting = list(_THOUGHTS)
        while waiting:
            yield waiting.pop(dice.below(len(waiting))) + " "


def take_pieces(blocks: Iterator[str], count: int) -> tuple[str, ...]:
    """Return the first `count` pieces of `blocks`, or all."""
    pieces: list[str] = []
    while len(pieces) < count and (block := next(blocks, None)) is not None:
        pieces += split_pieces(block)
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


def _relevance(words: set[str], section: tuple[str, ...]) -> int:
    """Return how many of the words are in a section's heading."""
    return len(words & set(_WORD.findall(section[0].lower())))


def _blocks(text: str) -> tuple[str, ...]:
    """Return the blocks of Markdown; the lines of a paragraph become one."""
    blocks = _BLOCK.findall(text)
    return tuple(
        (block if block.startswith(_OF_LINES) else block.replace("\n", " ")) + "\n\n"
        for block in blocks
    )


_OF_LINES = ("#", "- ", "1. ", "|", "```")
"""Beginnings of blocks whose lines stay."""
_BLOCK = re.compile(r"```.*?\n```|[^\n]+(?:\n[^\n]+)*", re.DOTALL)

_WORD = re.compile(r"[a-zé]{4,}")

_SECTIONS = tuple(
    _blocks(f"## {each}") for each in SECTIONS.strip().removeprefix("## ").split("\n## ")
)
