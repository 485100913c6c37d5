"""The plot that `make scale` draws, and the table beside it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.bench.plot import Panel, nice, svg_of
from tests.bench.scale import Held, as_plot, as_table


def test_plot_places_each_point_in_proportion() -> None:
    """Both axes begin at 0: what is twice as much stands twice as high."""
    drawn = svg_of([Panel("Memory", "MB", "feeds", [(0, 0), (5_000, 50), (10_000, 100)])])
    marks = [
        (float(mark.attrib["cx"]), float(mark.attrib["cy"]))
        for mark in ET.fromstring(drawn).iter()  # noqa: S314 - ours
        if mark.tag.endswith("circle")
    ]

    (x0, y0), (x1, y1), (x2, y2) = marks
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert x2 > x0
    assert y2 < y0


def test_plot_is_the_same_for_the_same_points_and_escapes_its_words() -> None:
    """It is committed: a new run changes it only by its figures."""
    panel = Panel("p50 < p99 & more", "ms", "runs", [(1, 2.5)])

    assert svg_of([panel]) == svg_of([panel])
    texts = [each.text for each in ET.fromstring(svg_of([panel])).iter()]  # noqa: S314 - ours
    assert "p50 < p99 & more" in texts


@pytest.mark.parametrize(
    ("value", "axis"), [(0, 1), (0.03, 0.04), (1, 1), (7, 8), (9, 10), (61, 80), (1_200, 2_000)]
)
def test_axis_ends_at_a_round_number(value: float, axis: float) -> None:
    """The least round one that is not below the value."""
    assert nice(value) == pytest.approx(axis)


def test_scale_shows_what_one_more_costs_and_what_all_do() -> None:
    """The table has a line for each number; the plot sums up."""
    feeds = [Held(1_000, 14.0, 0.5, 0.9), Held(10_000, 13.5, 5.0, 1.0)]
    runs = [Held(1_000, 80.25, 90.0, 3.0, 12.5, 89.6)]

    assert as_table(feeds, runs).splitlines()[2:] == [
        "| 1,000 idle feeds | 14.0 KB | 0.5 % | 0.90 ms |  |  |",
        "| 10,000 idle feeds | 13.5 KB | 5.0 % | 1.00 ms |  |  |",
        "| 1,000 runs at 10/s | 80.2 KB | 90.0 % | 3.00 ms | 12.5 ms | 90 µs |",
    ]
    assert re.findall(r">(\d+ MB)<", as_plot(feeds, runs)) == ["100 MB", "200 MB"]
