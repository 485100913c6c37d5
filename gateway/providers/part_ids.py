"""Ids of a run's text and reasoning parts: none is used twice."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class PartIds:
    """Hands out part ids, across all steps of one run.

    Providers number their blocks from 0 in every response; clients of one message would
    take the second block 0 for the first. Texts and reasoning are counted apart.

    Source: ai 7.0.173, `generate-text/stream-text.ts`, `createPartIdReserver`.
    """

    __slots__ = ("_reasoning", "_texts")

    def __init__(self) -> None:
        """Begin a run."""
        self._texts: set[str] = set()
        self._reasoning: set[str] = set()

    def text(self, wanted: str, new_id: Callable[[], str]) -> str:
        """Return the id of a new text part: `wanted` unless it is taken."""
        return _reserve(self._texts, wanted, new_id)

    def reasoning(self, wanted: str, new_id: Callable[[], str]) -> str:
        """Return the id of a new reasoning part: `wanted` unless it is taken."""
        return _reserve(self._reasoning, wanted, new_id)


def _reserve(used: set[str], wanted: str, new_id: Callable[[], str]) -> str:
    if wanted in used:
        fresh = wanted = new_id()
        suffix = itertools.count(1)
        # A maker of ids that repeats itself must not hold the event loop.
        while wanted in used:
            wanted = f"{fresh}-{next(suffix)}"
    used.add(wanted)
    return wanted
