"""The table of deviations, and the tests that name its rows."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.deviations import deviates, listed, used


def test_every_deviation_that_a_test_expects_is_listed() -> None:
    """Nothing differs from the AI SDK in silence."""
    unlisted = {name: path.name for name, path in used() if name not in listed()}
    assert unlisted == {}


def test_every_listed_deviation_is_shown_by_a_test() -> None:
    """A row that no test needs is no deviation any more."""
    assert set(listed()) - {name for name, _ in used()} == set()


def test_table_names_each_deviation_once() -> None:
    """And there are some."""
    assert Counter(listed()).most_common(1)[0][1] == 1


def test_unlisted_deviation_is_refused() -> None:
    """Where a test names it."""
    name = deviates
    with pytest.raises(KeyError, match="nobody-listed-this"):
        name("nobody-listed-this")
