"""The distribution: whoever installs it gets everything that the gateway needs to run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a wheel built from a copy of the source."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("gateway", "protocol"):
        shutil.copytree(
            ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", _BUILD, str(out)],
        cwd=source,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = out.glob("midstream-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_packages(contents: dict[str, bytes]) -> None:
    """Lua scripts and type markers are found where they are not Python, too."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("gateway", "protocol")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_the_wheel_holds_the_command_and_the_licence(contents: dict[str, bytes]) -> None:
    """Installing it puts `midstream` on PATH, and says what one may do with it."""
    metadata = {name.rpartition("/")[2]: data for name, data in contents.items()}
    assert b"midstream = gateway.cli:main" in metadata["entry_points.txt"]
    assert b"Apache License" in metadata["LICENSE"]
