"""Builds wheels, and environments that hold only the packages of their metadata."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SOURCES: Final = (
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "MANIFEST.in"),
    *("midstream.example.toml", "scripts", "src", "gateway", "protocol"),
)
"""The sources of a distribution, once the demo is built."""


def copy_source(folder: Path) -> Path:
    """Copy the sources of a distribution into a folder that does not exist yet; return it."""
    folder.mkdir(parents=True)
    for name in _SOURCES:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored, symlinks=True)
        else:
            shutil.copy(REPOSITORY / name, folder)
    return folder


def build(source: Path, kind: Literal["sdist", "wheel", "editable"], out: Path) -> Path:
    """Build a distribution with the backend that the source names, and return it."""
    out.mkdir(parents=True, exist_ok=True)
    program = f"import sys, build_backend; print(build_backend.build_{kind}(sys.argv[1]))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", program, str(out)],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source / "scripts")},
        check=True,
        capture_output=True,
        text=True,
    )
    return out / done.stdout.splitlines()[-1]


def requirements_of(wheel: Path) -> list[Requirement]:
    """Return the requirements in the wheel's metadata, extras included."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = metadata.email.message_from_bytes(archive.read(name))  # type: ignore[attr-defined]
    return [Requirement(line) for line in message.get_all("Requires-Dist", [])]


def closure(requirements: Iterable[Requirement], extra: str) -> set[str]:
    """Return the distributions that an installation with this extra brings, by name.

    Resolved from the metadata of the packages that are installed here, as pip would do.
    """
    found: set[str] = set()
    waiting = [(requirement, extra) for requirement in requirements]
    while waiting:
        requirement, of = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": of}):
            continue
        name = canonicalize_name(requirement.name)
        needs = [Requirement(line) for line in metadata.requires(name) or ()]
        if name not in found:
            waiting += [(need, "") for need in needs]
        waiting += [(need, one) for need in needs if need.marker for one in requirement.extras]
        found.add(name)
    return found


def install(wheel: Path, distributions: Iterable[str], environment: Path) -> Path:
    """Make an environment of only these, and return its Python. Needs no network."""
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True
    )
    (packages,) = environment.glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for name in distributions:
        for file in metadata.files(name) or ():
            if ".." in file.parts or file.suffix == ".pyc":
                continue  # commands
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
    return environment / "bin" / "python"
