"""The output of `make bench`: its report and its files."""

from __future__ import annotations

import pytest

from tests.bench.report import (
    BEGIN,
    END,
    Row,
    Target,
    compared_rounds,
    interval_of,
    table,
    written_into,
)


def test_table_shows_a_figure_beside_its_peer() -> None:
    """A row is the figure, the peer's, their ratio, the target, and whether it is met."""
    row = Row("CPU a chunk", 48.2, "µs", "Node", 216.0, target=Target(0.25, "ratio"))

    assert table([row]).splitlines() == [
        "| figure      | Midstream | peer | peer's | ratio  | target   | met |",
        "|-------------|-----------|------|--------|--------|----------|-----|",
        "| CPU a chunk | 48.2 µs   | Node | 216 µs | 0.22 × | ≤ 0.25 × | yes |",
    ]


def test_table_leaves_empty_what_is_not_there() -> None:
    """A figure without a peer and a target has neither ratio nor verdict."""
    *_, line = table([Row("runs in a flush", 4, "")]).splitlines()

    assert line.split("|")[1:-1] == [
        " runs in a flush ",
        " 4         ",
        "      ",
        "        ",
        "       ",
        "        ",
        "     ",
    ]


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (5.0, Target(5, "value"), True),
        (5.1, Target(5, "value"), False),
        (30.0, Target(3, "ratio"), True),
        (30.1, Target(3, "ratio"), False),
        (1.0, None, None),
    ],
)
def test_row_says_whether_its_target_is_met(
    value: float, target: Target | None, met: bool | None
) -> None:
    """A target bounds the figure itself, or its ratio to the peer's; the bound included."""
    assert Row("figure", value, "ms", "peer", 10.0, target=target).met is met


def test_rounds_are_compared_each_with_its_own_peer() -> None:
    """The ratio is the median of the rounds', so that one noisy round spoils nothing."""
    row = compared_rounds("figure", "µs", [10, 40, 11], "peer", [20, 80, 110])

    assert (row.value, row.peer_value, row.compared) == (11, 80, 0.5)


def test_page_keeps_all_but_its_figures() -> None:
    """New figures take the place of the old ones between the marks."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert written_into(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_page_without_a_place_for_figures_is_refused() -> None:
    """Figures are never written where nobody asked for them."""
    with pytest.raises(ValueError, match="unable to write the figures"):
        written_into("a page", "figures")


def test_interval_of_many_rounds_holds_their_median() -> None:
    """From five rounds on the ratio has bounds: the same each time, around the median."""
    ours = [50, 52, 54, 48, 51, 53, 49]
    row = compared_rounds("figure", "µs", ours, "base", [100] * 7)

    assert row.interval == interval_of([one / 100 for one in ours])
    assert row.interval is not None
    low, high = row.interval
    assert low < 0.51 < high
    assert "0.51 × (0.4" in table([row])


def test_few_rounds_have_no_interval() -> None:
    """Three figures cannot bound their own median."""
    assert compared_rounds("figure", "µs", [1, 2, 3], "base", [1, 1, 1]).interval is None


def test_other_marks_have_figures_of_their_own() -> None:
    """A page may have several tables."""
    page = "<!-- a -->\nold\n<!-- b -->\n"

    assert written_into(page, "new", "<!-- a -->", "<!-- b -->") == "<!-- a -->\nnew\n<!-- b -->\n"
