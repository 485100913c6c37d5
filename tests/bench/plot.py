"""Lines in an SVG, in plain Python: a panel for each figure, one mark for each measurement."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH: Final = 300
_HEIGHT: Final = 200
_LEFT: Final = 62
_TOP: Final = 34
_BOTTOM: Final = 40
_RIGHT: Final = 18
_INK: Final = "#57606a"
_LINE: Final = "#0969da"


class Panel(NamedTuple):
    """One figure against a number of things; both axes begin at 0."""

    title: str
    unit: str
    of: str
    points: Sequence[tuple[float, float]]


def svg_of(panels: Sequence[Panel]) -> str:
    """Return the panels side by side. The same points give the same bytes."""
    width = _WIDTH * len(panels)
    drawn = "\n".join(_drawn(panel, index * _WIDTH) for index, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
        f'width="{width}" height="{_HEIGHT}" font-family="sans-serif" font-size="10" '
        f'fill="{_INK}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{drawn}\n</svg>\n'
    )


def _drawn(panel: Panel, at: int) -> str:
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    most_x = max(x for x, _ in panel.points)
    most_y = nice(max(y for _, y in panel.points))
    left, floor = at + _LEFT, _TOP + high

    def place(x: float, y: float) -> tuple[float, float]:
        return left + wide * x / most_x, floor - high * y / most_y

    marks = [place(*point) for point in panel.points]
    lines = [f'<text x="{left}" y="18" font-size="12" fill="#1f2328">{escape(panel.title)}</text>']
    for tick in (0, most_y / 2, most_y):
        _, y = place(0, tick)
        lines.append(f'<path d="M{left} {y:.1f}h{wide}" stroke="#d0d7de" stroke-width="0.5"/>')
        shown = f"{tick:,.10g}" + (f" {panel.unit}" if tick else "")
        lines.append(
            f'<text x="{left - 6}" y="{y + 3:.1f}" text-anchor="end">{escape(shown)}</text>'
        )
    for (x, _), (value, _) in zip(marks, panel.points, strict=True):
        lines.append(
            f'<text x="{x:.1f}" y="{floor + 14}" text-anchor="middle">{value:,.10g}</text>'
        )
    lines.append(
        f'<text x="{left + wide / 2:.1f}" y="{floor + 30}" text-anchor="middle">'
        f"{escape(panel.of)}</text>"
    )
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in marks)
    lines.append(f'<polyline points="{joined}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>')
    lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_LINE}"/>' for x, y in marks]
    return "\n".join(lines)


def nice(value: float) -> float:
    """Return the least of 1, 2, 4, 5, 8, 10, … times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.01
    while True:
        for step in (1, 2, 4, 5, 8):
            if step * power >= value:
                return step * power
        power *= 10
