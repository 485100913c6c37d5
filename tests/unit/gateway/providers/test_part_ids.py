"""Part ids of a run."""

from __future__ import annotations

import itertools

from midstream.providers.part_ids import PartIds


def test_wanted_id_is_given_once() -> None:
    """A second part of the same id gets a fresh one."""
    ids, numbers = PartIds(), itertools.count()
    assert [ids.text("0", lambda: f"new-{next(numbers)}") for _ in range(3)] == [
        "0",
        "new-0",
        "new-1",
    ]


def test_maker_that_repeats_itself_still_gives_new_ids() -> None:
    """No id is given twice, and nobody waits for a better one."""
    ids = PartIds()
    assert [ids.text("0", lambda: "0") for _ in range(3)] == ["0", "0-1", "0-2"]


def test_texts_and_reasoning_are_counted_apart() -> None:
    """A thought 0 does not take the id of a text 0."""
    ids = PartIds()
    assert (ids.text("0", str), ids.reasoning("0", str)) == ("0", "0")
