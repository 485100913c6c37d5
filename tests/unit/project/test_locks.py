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
NODE_FOLDERS = ["demo-ui", "tests/bench/node", "tests/conformance/node", "tests/e2e/frontends"]

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
    unit = [*run, *(item for item in groups["unit"] if isinstance(item, str))]
    dev = [*unit, *(item for item in groups["dev"] if isinstance(item, str))]
    return {
        "run": [Requirement(item) for item in run],
        "unit": [Requirement(item) for item in unit],
        "dev": [Requirement(item) for item in dev],
        "servers": [Requirement(item) for item in groups["servers"]],
        "other-servers": [Requirement(item) for item in groups["other-servers"]],
        "deploy": [Requirement(item) for item in groups["deploy"]],
        "image": [
            Requirement(item)
            for item in (
                *project["project"]["dependencies"],
                *project["project"]["optional-dependencies"]["server"],
            )
        ],
    }


@pytest.mark.parametrize(
    "lock", ["run", "unit", "dev", "servers", "other-servers", "deploy", "image"]
)
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
    """`make run` after `make test` installs nothing, and the other way round it changes none."""
    smaller = {**pinned("run"), **pinned("demo"), **pinned("unit"), **pinned("image")}
    dev = pinned("dev")
    assert {name: dev.get(name) for name in smaller} == smaller


@pytest.mark.parametrize("lock", PYTHON_LOCKS, ids=lambda lock: lock.stem)
def test_a_python_lock_names_hashes_and_no_registry(lock: Path) -> None:
    """Every package is known by its hash, wherever an installation fetches it from."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("folder", NODE_FOLDERS, ids=str)
def test_an_npm_lock_names_hashes_and_no_registry(folder: str) -> None:
    """The same holds of npm's packages; a workspace is a link, and needs no hash."""
    text = (ROOT / folder / "package-lock.json").read_text()
    assert "://registry" not in text
    for name, package in json.loads(text)["packages"].items():
        if "node_modules/" not in name or package.get("link"):
            continue
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name


@pytest.mark.parametrize("folder", NODE_FOLDERS, ids=str)
def test_an_npm_lock_has_what_each_package_json_asks_for(folder: str) -> None:
    """A dependency that is added or raised is locked in the same change, in workspaces too."""
    locked = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    for name in ["", *locked[""].get("workspaces", [])]:
        asked = json.loads((ROOT / folder / name / "package.json").read_text())
        for kind in ("dependencies", "devDependencies", "peerDependencies"):
            assert locked[name].get(kind) == asked.get(kind), (name, kind)


def test_make_lock_resolves_every_npm_lock() -> None:
    """No lock is left behind when versions are raised."""
    found = {
        str(lock.parent.relative_to(ROOT))
        for lock in ROOT.glob("*/**/package-lock.json")
        if not {"node_modules", "build"} & set(lock.relative_to(ROOT).parts)
    }
    (loop,) = re.findall(r"for folder in (.*?); do", (ROOT / "Makefile").read_text())

    assert set(loop.split()) == found == set(NODE_FOLDERS)
