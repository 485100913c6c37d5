"""The shape of the source: sizes of files, functions and folders, and the names of classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[3]
SOURCE: Final = ("gateway", "protocol", "scripts")
LINK: Final = ROOT / "gateway" / "protocol"
"""The protocol under its installed name: the same files a second time."""

MAX_LINES: Final = {"gateway": 400, "protocol": 400, "scripts": 400, "tests": 500}
MAX_FUNCTION: Final = 50
MAX_LUA: Final = 60
MAX_FILES: Final = 14
FLAT: Final = frozenset({"protocol"})
"""Folders of one subject that read well as they are."""

ALONE: Final = ("gateway/client", "gateway/simulator")
"""Rooms that import nothing of the others, and have a vocabulary of their own."""


def files(*folders: str, suffix: str = ".py") -> list[Path]:
    """List the project's own files of a kind, relative to its root."""
    found = (path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}"))
    return sorted(
        path.relative_to(ROOT)
        for path in found
        if LINK not in path.parents and "node_modules" not in path.parts
    )


@cache
def lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def functions(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each function's name and length in lines, decorators left out."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_length_of_a_function_is_counted_from_its_def_to_its_last_line() -> None:
    """The measure of this file: nested and async functions count as well."""
    text = "@a\nasync def outer():\n    def inner():\n        pass\n\n    return inner\n"
    assert dict(functions(ast.parse(text))) == {"outer": 5, "inner": 2}


def test_files_are_short() -> None:
    """Past its bound a file has more than one subject."""
    long = {
        str(path): lines(path)
        for folder, most in MAX_LINES.items()
        for path in files(folder)
        if lines(path) > most
    }
    assert long == {}
    assert {str(path) for path in files("gateway", suffix=".lua") if lines(path) > MAX_LUA} == set()


def test_functions_are_short() -> None:
    long = {
        f"{path}:{name}": length
        for path in files(*SOURCE, "tests")
        for name, length in functions(tree(path))
        if length > MAX_FUNCTION
    }
    assert long == {}


def test_folders_hold_few_files() -> None:
    """A hall of files has no order that a newcomer can see."""
    count: dict[str, int] = defaultdict(int)
    for path in files(*SOURCE):
        if path.name != "__init__.py":
            count[str(path.parent)] += 1
    full = {folder: number for folder, number in count.items() if number > MAX_FILES}
    assert full.keys() == FLAT


def test_public_classes_have_names_of_their_own() -> None:
    """A name in a log or a search result then means one class."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in files("gateway", "protocol"):
        world = next((room for room in ALONE if str(path).startswith(room)), "")
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[world, node.name].append(str(path))
    assert {name: found for (_, name), found in places.items() if len(found) > 1} == {}
