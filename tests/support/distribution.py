"""The wheel, and environments that hold nothing but what its metadata asks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the source, and return it."""
    source, out = folder / "source", folder / "wheel"
    source.mkdir()
    out.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for package in ("gateway", "protocol"):
        shutil.copytree(
            REPOSITORY / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", _BUILD, str(out)],
        cwd=source,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = out.glob("midstream-*.whl")
    return wheel


def requirements_of(wheel: Path) -> list[Requirement]:
    """Return what the wheel's metadata asks for, extras included."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = metadata.email.message_from_bytes(archive.read(name))  # type: ignore[attr-defined]
    return [Requirement(line) for line in message.get_all("Requires-Dist", [])]


def closure(requirements: Iterable[Requirement], extra: str) -> set[str]:
    """Return the distributions that an installation with this extra brings, by name.

    What pip would resolve, from the metadata of what is installed here.
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
    """Make an environment of these alone, and return its Python. Needs no network."""
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
