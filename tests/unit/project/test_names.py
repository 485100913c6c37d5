"""The names and versions that we give: ours alone, and the same wherever they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from midstream import VERSION
from scripts import versions

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("demo-ui/transport/*.md"),
        *ROOT.glob("demo-ui/transport/docs/**/*.md"),
    ]
)
SOURCES = sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("demo-ui/*/src/**/*.ts*")])
"""They tell people what to install, too."""

_NPM = re.compile(r"\b(?:npm (?:install|i|add)|pnpm add|yarn add|bun add)((?: +[^\s`|#;&]+)+)")
_PIP = re.compile(r"\b(?:pip install|uv add|uv pip install|pipx install)((?: +[^\s`|#;&]+)+)")
_IMPORT = re.compile(r"""\b(?:from|import|require\()\s*(['"])([^.'"\n][^'"\n]*)\1""")
_NPX = re.compile(r"\bnpx( +(?:-\S+ +)*[^\s`|#;&]+)")
_OPTION_WITH_VALUE = {"--prefix", "--workspace", "-w", "-r", "--group"}
_NOT_INSTALLED_HERE = {"expo"}
"""Packages of npm that documentation names for applications of a kind that no test builds."""


def npm_packages() -> set[str]:
    """Return the names of npm packages that we have installed, and so know whose they are."""
    folders = ("demo-ui", "tests/e2e/frontends", "tests/conformance/node")
    locks = [json.loads((ROOT / name / "package-lock.json").read_text()) for name in folders]
    return {
        name.rpartition("node_modules/")[2] for lock in locks for name in lock["packages"] if name
    }


def python_packages() -> set[str]:
    """Return the same of Python's."""
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.M)}


def installed_by(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return what the commands in a text install, options left out."""
    found: list[str] = []
    for arguments in pattern.findall(text):
        words = [word.strip("'\"") for word in arguments.split()]
        for at, word in enumerate(words):
            if not word.startswith("-") and (at == 0 or words[at - 1] not in _OPTION_WITH_VALUE):
                found.append(word)
    return found


def not_ours(page: Path) -> list[str]:
    """Return what a page names as a package that is not known, or not there yet."""
    text = page.read_text()
    npm = npm_packages() - {"midstream-chat"} | _NOT_INSTALLED_HERE
    python = python_packages()
    wrong = [
        f"npm install {name}"
        for name in [*installed_by(_NPM, text), *installed_by(_NPX, text)]
        if not re.fullmatch(r"(?:https?://\S+|\.\S*)/midstream-chat\.tgz", name)
        and re.sub(r"(?<=.)@[^/]*$", "", name) not in npm
    ]
    wrong += [
        f"pip install {name}"
        for name in installed_by(_PIP, text)
        if not name.startswith(".") and canonicalize_name(name.partition("[")[0]) not in python
    ]
    if page.suffix != ".py":
        wrong += [
            f"import {name}"
            for _, name in _IMPORT.findall(text)
            if "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
            not in npm | {"midstream-chat"}
            and not name.startswith(("node:", "@/", "$"))
        ]
    return wrong


def test_nothing_that_people_read_names_a_package_that_is_not_ours() -> None:
    """In npm's registry `midstream` is somebody else's, and ours is in none yet."""
    wrong = {str(page.relative_to(ROOT)): not_ours(page) for page in [*PAGES, *SOURCES]}
    assert {page: names for page, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "npm install midstream",
        "npm i --save midstream-chat@latest",
        "`pip install 'midstream[client]'`",
        "uv add midstream",
        "import { useSession } from 'midstream/react';",
        "import { x } from 'midstream';",
        "npx create-midstream-app",
    ],
)
def test_the_reader_of_names_finds(text: str, tmp_path: Path) -> None:
    """Each kind of line that would bring somebody else's package."""
    page = tmp_path / "page.md"
    page.write_text(text)
    assert len(not_ours(page)) == 1


def test_every_file_that_says_the_version_says_the_same() -> None:
    """The gateway's is the package's; the newest entry of the changelog is about it, or to come."""
    said = versions.said()
    if said["CHANGELOG.md"] == "Unreleased":
        del said["CHANGELOG.md"]
    assert said["gateway/version.py"] == VERSION
    assert versions.faults(said) == []


def test_release_of_another_version_than_the_files_say_is_refused() -> None:
    """A tag that is wrong, or a file that was forgotten, by its name."""
    said = {"pyproject.toml": "0.2.0", "CHANGELOG.md": "Unreleased"}
    assert versions.faults(said, "v0.2.0") == ["CHANGELOG.md says Unreleased, not 0.2.0"]
    assert len(versions.faults(said, "v0.3.0")) == 2


def test_package_carries_the_licence() -> None:
    """npm packs the file beside it; it is the repository's."""
    beside = ROOT / "demo-ui" / "transport" / "LICENSE"
    assert beside.read_text() == (ROOT / "LICENSE").read_text()
