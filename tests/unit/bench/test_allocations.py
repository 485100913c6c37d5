"""Allocations are named by the code that stands for them."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

from tests.bench.allocations import by_our_line, by_package

if TYPE_CHECKING:
    from pathlib import Path

_OURS = "def make(call):\n    return call()\n"
_LIBRARY = "def allocate():\n    return bytearray(100_000)\n"


def snapshot_of(folder: Path) -> tracemalloc.Snapshot:
    """Take one with 100 kB that a library has allocated for a line of ours."""
    spaces: list[dict[str, object]] = []
    for path, code in (
        (folder / "src" / "midstream" / "api" / "here.py", _OURS),
        (folder / "site-packages" / "library" / "deep.py", _LIBRARY),
    ):
        spaces.append({})
        exec(compile(code, str(path), "exec"), spaces[-1])  # noqa: S102 - for its file name
    make, allocate = spaces[0]["make"], spaces[1]["allocate"]
    assert callable(make)
    tracemalloc.start(10)
    try:
        kept = make(allocate)
        return tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
        del kept


def test_bytes_are_counted_for_our_innermost_line(tmp_path: Path) -> None:
    """However deep in a library they are allocated."""
    named, (size, count) = next(iter(by_our_line(snapshot_of(tmp_path)).items()))

    assert named == "api/here.py:2"
    assert size >= 100_000
    assert count >= 1


def test_bytes_are_counted_for_the_library_that_allocates(tmp_path: Path) -> None:
    """The other question: whose objects they are."""
    assert next(iter(by_package(snapshot_of(tmp_path)))) == "library"
