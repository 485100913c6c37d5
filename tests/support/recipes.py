"""The recipes of docs/agents.md, docs/redirect.md and the README, as Python modules."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


def pasted(page: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of a page, as readers paste it."""
    (source,) = (
        block["source"]
        for block in _MODULE.finditer((REPOSITORY / page).read_text())
        if block["name"] == f"{name}.py"
    )
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(source, module.__dict__)  # noqa: S102 - ours
    return module


def write_recipes(folder: Path) -> Path:
    """Write all recipes into a folder, for PYTHONPATH; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in recipes().items():
        (folder / name).write_text(source)
    return folder
