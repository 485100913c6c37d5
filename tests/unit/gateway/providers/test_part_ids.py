"""Part ids of a run."""

from __future__ import annotations

import itertools

from gateway.providers.part_ids import PartIds


def test_wanted_id_is_given_once() -> None:
    """A second part of the same id gets a fresh one."""
    ids, numbers = PartIds(), itertools.count()
    assert [ids.text("0", lambda: f"new-{next(numbers)}") for _ in range(3)] == [
        "0",
        "new-0",
        "new-1",
    ]


def test_fresh_id_that_is_taken_is_not_given() -> None:
    """A maker of ids that repeats itself is asked again."""
    ids, made = PartIds(), iter(["0", "0", "1"])
    ids.text("0", str)
    assert ids.text("0", lambda: next(made)) == "1"


def test_texts_and_reasoning_are_counted_apart() -> None:
    """A thought 0 does not take the id of a text 0."""
    ids = PartIds()
    assert (ids.text("0", str), ids.reasoning("0", str)) == ("0", "0")
