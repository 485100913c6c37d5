"""Rows of figures, each with its peer beside it, as a Markdown table."""

from __future__ import annotations

import os
import platform
import random
import statistics
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS: Final = ("figure", "Midstream", "peer", "peer's", "ratio", "target", "met")
_PACKAGES: Final = ("uvicorn", "uvloop", "redis", "litestar", "anthropic", "aiohttp")

FEWEST_FOR_INTERVAL: Final = 5
_DRAWS: Final = 4_000

BEGIN: Final = "<!-- figures: written by `make bench WRITE=1` -->"
END: Final = "<!-- end of figures -->"


@dataclass(frozen=True)
class Target:
    """At most `limit`: of the figure itself, or of its ratio to the peer's."""

    limit: float
    of: Literal["value", "ratio"]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        value: the measured value, in `unit`.
        peer, peer_value: another program and its value; None if there is no peer.
        ratio: the median of the rounds' ratios; of the values if None.
        interval: of the ratio, with 95 % confidence; None from a few rounds.
        target: None for a figure that only explains another.
    """

    figure: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    target: Target | None = None
    interval: tuple[float, float] | None = None

    @property
    def compared(self) -> float | None:
        """Our value divided by the peer's; None without a peer."""
        if self.ratio is not None or not self.peer_value:
            return self.ratio
        return self.value / self.peer_value

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        reached = self.value if self.target.of == "value" else self.compared
        return reached is not None and reached <= self.target.limit


def compared_rounds(
    figure: str,
    unit: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    target: Target | None = None,
) -> Row:
    """Return the row of a figure measured in rounds: medians, and the median ratio."""
    # A peer's use may be zero in one window.
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True) if other]
    return Row(
        figure,
        statistics.median(ours),
        unit,
        peer,
        statistics.median(theirs),
        statistics.median(ratios) if ratios else None,
        target,
        interval_of(ratios) if len(ratios) >= FEWEST_FOR_INTERVAL else None,
    )


def interval_of(values: Sequence[float]) -> tuple[float, float]:
    """Return bounds of the median with 95 % confidence, by drawing the values again."""
    draw = random.Random(0)  # noqa: S311 - the same values give the same bounds
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(_DRAWS))
    return medians[_DRAWS // 40], medians[-_DRAWS // 40]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table that is aligned as plain text, too."""
    cells = [_COLUMNS, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = row.compared
    return (
        row.figure,
        _measured(row.value, row.unit),
        row.peer,
        "" if row.peer_value is None else _measured(row.peer_value, row.unit),
        "" if ratio is None else f"{_digits(ratio)} ×{_between(row.interval)}",
        _target(row),
        {None: "", True: "yes", False: "**no**"}[row.met],
    )


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({_digits(interval[0])} to {_digits(interval[1])})"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    limit = _digits(row.target.limit)
    return f"≤ {limit} ×" if row.target.of == "ratio" else f"≤ {limit} {row.unit}".rstrip()


def _measured(value: float, unit: str) -> str:
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    """Format with three significant digits and at most two decimals: more would be noise."""
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """Return the date, the machine and the versions, in one sentence."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{model}, {cores} cores, Linux {platform.release().split('-')[0]}; "
        f"Python {platform.python_version()}, {packages}"
    )


def written_into(page: str, figures: str, begins: str = BEGIN, ends: str = END) -> str:
    """Return a page with what stands between two marks replaced.

    Raises:
        ValueError: the page has no place for them.
    """
    before, begin, rest = page.partition(begins)
    _, end, after = rest.partition(ends)
    if not (begin and end):
        raise ValueError(f"unable to write the figures; no place between {begins} and {ends}")
    return f"{before}{begin}\n{figures}\n{end}{after}"
