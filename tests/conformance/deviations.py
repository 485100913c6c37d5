"""The table of docs/compatibility.md: our intended differences from the AI SDK.

A test that expects such a difference names it with `deviates`. `test_deviations.py` checks that
the table has every name, and that a test shows every row.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

FOLDER: Final = Path(__file__).parent
TABLE: Final = FOLDER.parents[1] / "docs" / "compatibility.md"

_ROW: Final = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)


def listed() -> list[str]:
    """Return the ids of the table's rows, in their order."""
    return _ROW.findall(TABLE.read_text())


_LISTED: Final = frozenset(listed())


def deviates(deviation: str) -> Callable[[T], T]:
    """Mark a test, or an expectation, as different from the AI SDK by a row of the table.

    Use it as a decorator, or call it where a test allows for the difference.

    Raises:
        KeyError: the table has no such row.
    """
    if deviation not in _LISTED:
        raise KeyError(f"docs/compatibility.md does not list `{deviation}`")
    return lambda shown: shown


def used() -> Iterator[tuple[str, Path]]:
    """Yield each deviation that a conformance test names, with the test's file."""
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == deviates.__name__
            ):
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{path}: name the deviation itself"
                yield str(name.value), path
