"""The locks: complete, consistent, and free of any registry's address."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PYTHON_LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
NODE_FOLDERS = [ROOT / "tests/conformance/node", ROOT / "tests/bench/node"]

_PINNED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>\S+)", re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    """Return the versions by package that a lock in `requirements/` names."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {found["name"]: found["version"] for found in _PINNED.finditer(text)}


def declared() -> dict[str, list[Requirement]]:
    """Return what pyproject.toml asks for, by the lock that must hold it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    run = [*project["project"]["dependencies"], *groups["build"]]
    for extra in ("server", "embedded", "client"):
        run += project["project"]["optional-dependencies"][extra]
    dev = [item for item in groups["dev"] if isinstance(item, str)]
    return {
        "run": [Requirement(item) for item in run],
        "dev": [Requirement(item) for item in [*run, *dev]],
    }


@pytest.mark.parametrize("lock", ["run", "dev"])
def test_a_lock_pins_every_dependency_that_the_project_declares(lock: str) -> None:
    """A dependency that is added or raised in pyproject.toml is locked in the same change."""
    versions = pinned(lock)
    missing = [
        str(requirement)
        for requirement in declared()[lock]
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert not missing


def test_the_locks_agree_on_every_version_they_share() -> None:
    """`make run` after `make test`, or the other way round, changes no package."""
    run, dev = pinned("run"), pinned("dev")
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("lock", PYTHON_LOCKS, ids=lambda lock: lock.stem)
def test_a_python_lock_names_hashes_and_no_registry(lock: Path) -> None:
    """Every package is known by its hash, wherever an installation fetches it from."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("folder", NODE_FOLDERS, ids=lambda folder: folder.parent.name)
def test_an_npm_lock_names_hashes_and_no_registry(folder: Path) -> None:
    """The same holds of npm's packages, and what package.json asks for is what is locked."""
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    root = packages.pop("")
    assert root["dependencies"] == json.loads((folder / "package.json").read_text())["dependencies"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name
