"""Files that are kept from run to run, for tests that need something that is slow to make."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.made_once import fingerprint, made_once

if TYPE_CHECKING:
    from pathlib import Path


class Maker:
    """Makes a folder with one file, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        folder.mkdir()
        self.times += 1
        (folder / "made").write_text(str(self.times))


def test_same_sources_are_made_into_something_once(tmp_path: Path) -> None:
    """However many ask, at once or later; each has a copy of its own."""
    make, store = Maker(), tmp_path / "store"

    def ask(number: int) -> str:
        made_once(store, "same", make, tmp_path / f"copy-{number}")
        return (tmp_path / f"copy-{number}" / "made").read_text()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(8))) == ["1"] * 8
    (tmp_path / "copy-0" / "made").write_text("changed")
    assert ask(8) == "1"


def test_other_sources_are_made_anew_and_the_older_are_forgotten(tmp_path: Path) -> None:
    """There is never more than one of a kind."""
    make, store = Maker(), tmp_path / "store"
    made_once(store, "old", make, tmp_path / "first")
    made_once(store, "new", make, tmp_path / "second")

    assert (tmp_path / "second" / "made").read_text() == "2"
    assert {path.name for path in store.iterdir()} == {"new", "lock"}


def test_what_failed_half_way_is_not_taken_for_made(tmp_path: Path) -> None:
    """The next one begins again."""
    make, store = Maker(), tmp_path / "store"

    def fail(folder: Path) -> None:
        make(folder)
        raise OSError

    with pytest.raises(OSError):
        made_once(store, "same", fail, tmp_path / "first")
    made_once(store, "same", make, tmp_path / "second")
    assert (tmp_path / "second" / "made").read_text() == "2"


def test_fingerprint_knows_names_contents_and_words(tmp_path: Path) -> None:
    """The folder's place is not in it."""

    def of(where: str, name: str, content: str, *more: str) -> str:
        folder = tmp_path / where
        folder.mkdir(exist_ok=True)
        file = folder / name
        file.write_text(content)
        return fingerprint(folder, [file], *more)

    first = of("a", "x", "1")
    assert of("b", "x", "1") == first
    assert len({first, of("a", "x", "2"), of("a", "y", "1"), of("a", "x", "1", "word")}) == 4
