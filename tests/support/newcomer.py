"""Makes a newcomer's folder of installed packages: clone, environments, project. No network."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.frontends import TEMPLATES, link, run
from tests.support.npm_registry import registry_of
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable

_BUILT: Final = ("gateway/demo", "gateway/npm", "build/frontend")
"""The results of `scripts/frontend.py`, with its stamp; other sources are built again."""

_OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "no_proxy": "*"}
"""pip builds with the installed packages: its variable for no build isolation is set to 0."""


def clone(folder: Path) -> None:
    """Clone the repository into a folder, with uncommitted changes."""
    _git("clone", "--quiet", str(REPOSITORY), str(folder))
    changed = _git("diff", "--name-only", "-z", "HEAD")
    for name in (changed + _git("ls-files", "--others", "--exclude-standard", "-z")).split("\0"):
        source, copy = REPOSITORY / name, folder / name
        if not name:
            continue
        copy.unlink(missing_ok=True)
        if os.path.lexists(source):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def make_as_if_installed(checkout: Path) -> None:
    """Give a clone the locked packages and the built demo; by the stamps `make` does the rest."""
    environment(checkout / ".venv")
    for name in _BUILT:
        source, copy = REPOSITORY / name, checkout / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
    bootstrap = _bootstrap_of(checkout)
    stamps = {"environment": bootstrap.fingerprint()}
    for lock in ("run", "demo"):
        stamps[lock] = bootstrap.fingerprint(checkout / "requirements" / f"{lock}.txt")
    bootstrap.STAMPS.mkdir()
    for name, made_from in stamps.items():
        (bootstrap.STAMPS / name).write_text(made_from)


def _bootstrap_of(checkout: Path) -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", checkout / "scripts/bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment(folder: Path) -> None:
    """Make an environment with pip and all installed packages except ours."""
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    (packages,) = folder.glob("lib/python3.*/site-packages")
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(("midstream", "__editable__")):
            (packages / installed.name).symlink_to(installed)
    pip = folder / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m pip "$@"\n')
    pip.chmod(0o755)


def variables(folder: Path, **more: str) -> dict[str, str]:
    """Return the variables of a person who has activated an environment, and has this Python."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    if not (programs / "python3").exists():
        (programs / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    path = os.pathsep.join((str(folder / "bin"), str(programs), os.environ["PATH"]))
    return {**_OFFLINE, **more, "PATH": path}


def command(line: str, where: Path, more: dict[str, str], limit_s: float = 60) -> str:
    """Run a command of the README in a shell, to its end; return its output.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        ["sh"],  # noqa: S607
        input=line,
        cwd=where,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def react_project(folder: Path) -> None:
    """Make a project with React and the AI SDK, as `npm install` leaves it."""
    shutil.copytree(TEMPLATES / "react", folder, ignore=shutil.ignore_patterns("src"))
    shutil.copy(TEMPLATES / ".npmrc", folder)
    manifest = json.loads((folder / "package.json").read_text())
    locked = json.loads((TEMPLATES / "package-lock.json").read_text())
    asked = [*manifest["dependencies"], *manifest["devDependencies"]]
    needed = {name: locked["packages"][name] for name in _needed(locked["packages"], asked)}
    packages = {"": manifest, **needed}
    (folder / "package-lock.json").write_text(json.dumps({**locked, "packages": packages}))
    for name in needed:
        if not (folder / name).exists() and (TEMPLATES / name).exists():
            shutil.copytree(TEMPLATES / name, folder / name, symlinks=True, copy_function=link)
    programs = Path("node_modules", ".bin")
    shutil.copytree(TEMPLATES / programs, folder / programs, symlinks=True)


def _needed(packages: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Return the places of packages and their dependencies in a lock; outer ones first."""
    found: set[str] = set()
    waiting = [("", name) for name in names]
    while waiting:
        where, name = waiting.pop()
        place = f"{where}node_modules/{name}"
        if place not in packages:
            if where:
                above = where.rstrip("/").rpartition("node_modules/")[0]
                waiting.append((above, name))
            continue
        if place not in found:
            found.add(place)
            entry = packages[place]
            kinds = ("dependencies", "optionalDependencies", "peerDependencies")
            needs = {need for kind in kinds for need in entry.get(kind, {})}
            waiting += [(f"{place}/", need) for need in needs]
    return sorted(found)


def npm(line: str, project: Path) -> None:
    """Run a Node command in a project, with a registry of the installed packages only."""
    with registry_of(project / "package-lock.json", project / "node_modules") as registry:
        more = {
            "npm_config_offline": "false",
            "npm_config_registry": registry,
            "npm_config_cache": str(project.parent / "npm-cache"),
            "no_proxy": "*",
        }
        run(project / "node_modules" / ".bin", ["sh", "-ec", line], project, more)
