"""The recipes of docs/agents.md, docs/redirect.md and the README, as Python modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PAGES: Final = ("docs/agents.md", "docs/redirect.md", "README.md")
MAX_LINES: Final = 15

_MODULE: Final = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<source>.*?)^```$", re.M | re.S)


def recipes() -> dict[str, str]:
    """Return, by module, the source of each Python block that names one in its first line."""
    return {
        block["name"]: block["source"]
        for page in PAGES
        for block in _MODULE.finditer((REPOSITORY / page).read_text())
    }


def write_recipes(folder: Path) -> Path:
    """Write all recipes into a folder, for PYTHONPATH; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in recipes().items():
        (folder / name).write_text(source)
    return folder
