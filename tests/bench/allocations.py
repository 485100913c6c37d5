"""Groups what `tracemalloc` has seen by the gateway's own code, and by who allocates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from tracemalloc import Snapshot, Statistic

_OURS: Final = re.compile(r"/(?:src/midstream|gateway|midstream)/((?:\w+/)*\w+\.py)$")
_PACKAGE: Final = re.compile(r"/site-packages/(\w+)")
_STANDARD: Final = "Python"


def by_our_line(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Return bytes and pieces by the innermost line of ours that each stands for, largest first."""
    return _grouped(snapshot, lambda one: _first(map(_line_of, _inside_out(one))) or "elsewhere")


def by_package(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Return bytes and pieces by the package that allocates: a room of ours, or a library."""
    return _grouped(snapshot, lambda one: _first(map(_package_of, _inside_out(one))) or _STANDARD)


def _inside_out(one: Statistic) -> Iterable[tuple[str, int]]:
    return [(frame.filename, frame.lineno) for frame in reversed(one.traceback)]


def _line_of(frame: tuple[str, int]) -> str:
    file, line = frame
    ours = None if "/site-packages/" in file else _OURS.search(file)
    return f"{ours[1]}:{line}" if ours else ""


def _package_of(frame: tuple[str, int]) -> str:
    file, _ = frame
    if library := _PACKAGE.search(file):
        return library[1]
    ours = _OURS.search(file)
    if ours is None:
        return ""
    room, slash, _ = ours[1].partition("/")
    return room + slash


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")


def _grouped(snapshot: Snapshot, key: Callable[[Statistic], str]) -> dict[str, tuple[int, int]]:
    groups: dict[str, tuple[int, int]] = {}
    for one in snapshot.statistics("traceback"):
        size, count = groups.get(named := key(one), (0, 0))
        groups[named] = (size + one.size, count + one.count)
    return dict(sorted(groups.items(), key=lambda item: -item[1][0]))
