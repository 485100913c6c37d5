"""The table of docs/compatibility.md: where we differ from the AI SDK, and mean to.

A test that expects such a difference names it with `deviates`. Tests beside this module see to
it that every name is in the table, and that every row of the table is shown by a test.
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
    """Say that a test, or what it expects, differs from the AI SDK as a row of the table says.

    As a decorator, or called where the difference is taken into account.

    Raises:
        KeyError: the table has no such row.
    """
    if deviation not in _LISTED:
        raise KeyError(f"docs/compatibility.md does not list `{deviation}`")
    return lambda shown: shown


def used() -> Iterator[tuple[str, Path]]:
    """Yield each deviation that a conformance test names, and where."""
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
