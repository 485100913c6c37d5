"""The paths that pages name: a reader who follows one finds the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "demo-ui" / "transport"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("findings/*.md"),
        *PACKAGE.glob("*.md"),
        *PACKAGE.glob("docs/**/*.md"),
    ]
)

_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_FOLDERS = r"\.ci|\.github|demo-ui|docs|findings|gateway|protocol|requirements|scripts|src|tests"
_NAMED = re.compile(rf"`((?:{_FOLDERS})/[^`\s]+)`")
_IN_A_ROOM = re.compile(
    r"(?<![\w/.-])((?:agents|api|limits|live_demo|protocol|providers|sessions|store)/"
    r"[\w/]+\.(?:py|lua))"
)
_LINKED = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)")


def missing(text: str, root: Path, page: Path) -> list[str]:
    """Return the paths that a page names, below the root or below the package, and those it links.

    A path may be a pattern.
    """
    prose = _FENCED.sub("", text)
    bases = [root, root / "demo-ui" / "transport"]
    named = [
        path for path in _NAMED.findall(prose) if not any(any(base.glob(path)) for base in bases)
    ]
    linked = [path for path in _LINKED.findall(prose) if not (page.parent / path).exists()]
    return named + linked


def test_every_path_that_a_page_names_is_there() -> None:
    """Files move; pages have to follow in the same commit."""
    wrong = {
        str(page.relative_to(ROOT)): paths
        for page in PAGES
        if (paths := missing(page.read_text(), ROOT, page))
    }
    assert wrong == {}


def test_every_module_that_the_map_names_is_there() -> None:
    """The page on the architecture names modules below `gateway/`, in its diagrams too."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = _IN_A_ROOM.findall(text)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / "gateway" / path).is_file()] == []


@pytest.mark.parametrize(
    "text",
    [
        "In `demo-ui/transport/src/gone.ts`.",
        "In `src/net/gone.ts`.",
        "In `gateway/gone/`.",
        "Like `tests/gone_*.py`.",
        "See [there](gone.md).",
        "See [there](../gone.md#part).",
    ],
)
def test_the_reader_of_paths_finds_one_that_is_gone(text: str, tmp_path: Path) -> None:
    """Named or linked, a file, a folder or a pattern."""
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    assert len(missing(text, tmp_path, page)) == 1


def test_the_reader_of_paths_takes_files_folders_patterns_and_addresses(tmp_path: Path) -> None:
    """And nothing of code that a page shows."""
    package = tmp_path / "demo-ui" / "transport" / "src"
    package.mkdir(parents=True)
    (package / "a.ts").touch()
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.touch()
    text = (
        "`demo-ui/transport/src/a.ts`, `src/a.ts`, `demo-ui/transport/src`, `src/*.ts`,\n"
        "[it](page.md#part), [part](#part), [far](https://example.com/a), `api/chat`\n"
        "```\n`src/gone.ts` [x](gone.md)\n```\n"
    )
    assert missing(text, tmp_path, page) == []
