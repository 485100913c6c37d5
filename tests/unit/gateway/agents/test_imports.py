"""Objects that settings name are found where a person expects them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from midstream.agents import imports
from midstream.agents.imports import import_object
from midstream.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not on the path, as it is not for an installed command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imports, "STARTED_IN", str(tmp_path))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    return tmp_path


def test_module_of_the_current_folder_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside `midstream.toml`, where somebody has just written it."""
    (folder / "guide_beside_settings.py").write_text("async def answer(run): ...\n")

    found = import_object("guide_beside_settings:answer", "the agent `guide`")

    monkeypatch.delitem(sys.modules, "guide_beside_settings")
    assert callable(found)


def test_file_of_the_current_folder_stands_in_for_no_package(folder: Path) -> None:
    """Installed packages come first, even if a local file has the same name."""
    (folder / "redis.py").write_text("raise SystemExit('not this one')\n")
    (folder / "mine.py").write_text("answer = 1\n")
    program = (
        "from midstream.agents.imports import import_object;"
        " import_object('mine:answer', 'it'); import redis; print(redis.__name__)"
    )

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("redis\n", "")


def test_module_that_is_nowhere_is_told_by_its_name(folder: Path) -> None:
    """In the sentence that the command prints."""
    with pytest.raises(SettingsError) as raised:
        import_object("nowhere_at_all:answer", "the agent `guide`")

    assert "No module named 'nowhere_at_all'" in raised.value.message
