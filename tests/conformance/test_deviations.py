"""The table of deviations, and the tests that name its rows."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.deviations import deviates, listed, used


def test_every_deviation_that_a_test_expects_is_listed() -> None:
    """No test expects a difference that the table does not list."""
    unlisted = {name: path.name for name, path in used() if name not in listed()}
    assert unlisted == {}


def test_every_listed_deviation_is_shown_by_a_test() -> None:
    """A row that no test needs is not a deviation."""
    assert set(listed()) - {name for name, _ in used()} == set()


def test_table_names_each_deviation_once() -> None:
    """The table has rows, and no row twice."""
    assert Counter(listed()).most_common(1)[0][1] == 1


def test_unlisted_deviation_is_refused() -> None:
    """A test that names it fails at once."""
    name = deviates
    with pytest.raises(KeyError, match="nobody-listed-this"):
        name("nobody-listed-this")
