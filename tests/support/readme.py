"""Reads the README as a newcomer follows it: piece by piece, in order, without omissions."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from tests.support.frontends import DOCUMENTED_GATEWAY
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PIECE: Final = re.compile(
    r"^```(?P<language>\w*)[^\n]*\n(?P<block>.*?)^```$|`(?P<inline>(?:pip|npm) install [^`\n]+)`",
    re.M | re.S,
)


def pieces(text: str) -> Iterator[str]:
    """Yield the pieces to follow: each block, and each command.

    In a shell's block each line is a command, unless a command spans lines: then the block is one
    script. An installation inside a sentence is a command, too.
    """
    for found in _PIECE.finditer(text):
        if found["inline"]:
            yield found["inline"]
        elif found["language"] == "sh":
            yield from _commands(found["block"])
        else:
            yield found["block"]


def _commands(block: str) -> list[str]:
    try:
        lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    except ValueError:
        return [block]
    return [shlex.join(line) for line in lines if line]


class Reader:
    """Reads the README from its beginning, without omissions.

    Args:
        left_out: the beginning of a piece that is not followed -> the reason.
        gateway: replaces the README's address, which may be in use on this machine.
        text: replaces the README's text.
    """

    def __init__(self, left_out: Mapping[str, str], gateway: str, text: str | None = None) -> None:
        self._left_out = dict(left_out)
        self._gateway = gateway
        self.text = (REPOSITORY / "README.md").read_text() if text is None else text
        self._coming = list(pieces(self.text))

    def next(self, beginning: str) -> str:
        """Return the next piece that is followed.

        Raises:
            AssertionError: it begins otherwise, because a piece was added or moved.
        """
        self._pass_over()
        assert self._coming, f"the README ends before {beginning!r}"
        piece = self._coming.pop(0)
        assert piece.startswith(beginning), f"neither followed nor left out: {piece}"
        return piece.replace(DOCUMENTED_GATEWAY, self._gateway)

    def finish(self) -> None:
        """Check that the end is reached.

        Raises:
            AssertionError: a piece was not followed, or one in `left_out` does not exist.
        """
        self._pass_over()
        assert self._coming == [], f"neither followed nor left out: {self._coming[0]}"
        assert self._left_out == {}, f"left out, and not there: {self._left_out}"

    def _pass_over(self) -> None:
        while self._coming:
            known = [name for name in self._left_out if self._coming[0].startswith(name)]
            if not known:
                return
            del self._left_out[known[0]]
            self._coming.pop(0)


def changed(source: str, diff: str) -> str:
    """Apply a diff to a source, in which each removed text must occur once."""
    for change in diff.strip("\n").split("\n\n"):
        lines = change.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if line.startswith("-"))
        new = "".join(f"{line[1:]}\n" for line in lines if line.startswith("+"))
        assert source.count(old) == 1, f"the diff's lines are not in the page: {old}"
        source = source.replace(old, new)
    return source
