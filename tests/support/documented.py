"""Programs that stand in the documentation, as the files that they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM: Final = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<source>.*?)^```$", re.M | re.S)


def programs(page: str) -> dict[str, str]:
    """Return the source of each block of Python that names its file in its first line."""
    text = (REPOSITORY / page).read_text()
    return {block["name"]: block["source"] for block in _PROGRAM.finditer(text)}


def write_program(page: str, name: str, folder: Path) -> Path:
    """Write one of them into a folder, which is made; return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(programs(page)[name])
    return path
