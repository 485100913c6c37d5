"""Gets what is measured beside the working tree: a build of another commit, environments of peers.

All of it is kept in `build/bench`, and made again only when its inputs change.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.support.processes import REPOSITORY

KEPT: Final = REPOSITORY / "build" / "bench"
PINS: Final = Path(__file__).parent / "peers"
_LOCK: Final = Path("requirements", "run.txt")


class UnavailableError(Exception):
    """A program cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Build:
    """A gateway's source, and the Python that runs it."""

    name: str
    tree: Path
    python: str


def build_of(named: str) -> Build:
    """Return the build of a commit, or of a folder with a checked-out one.

    A commit is unpacked into a folder. It runs in this environment if it has the same lock, else
    in one of its own.

    Raises:
        UnavailableError: there is no such commit, or its packages cannot be installed.
    """
    if (folder := Path(named)).is_dir():
        own = folder / ".venv" / "bin" / "python"
        return Build(
            f"build in {folder.name}",
            folder.resolve(),
            str(own if own.exists() else sys.executable),
        )
    commit = _git("rev-parse", "--verify", f"{named}^{{commit}}").decode().strip()
    tree = KEPT / commit[:12]
    if not tree.is_dir():
        unpacked = KEPT / f"{commit[:12]}.part"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(parents=True)
        with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", commit))) as tar:
            tar.extractall(unpacked, filter="data")
        unpacked.rename(tree)
    lock = tree / _LOCK
    same = lock.read_bytes() == (REPOSITORY / _LOCK).read_bytes()
    python = sys.executable if same else environment(f"run-{commit[:12]}", lock)
    return Build(f"build of {commit[:7]}", tree, python)


def environment(name: str, lock: Path) -> str:
    """Return the Python of an environment with a lock's packages, and nothing else.

    Raises:
        UnavailableError: they cannot be installed.
    """
    stamp = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = KEPT / f"{name}-{stamp}"
    python = str(folder / "bin" / "python")
    done = folder / "complete"
    if not done.exists():
        install = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
        try:
            _call(sys.executable, "-m", "venv", "--clear", str(folder))
            _call(python, *install, "--require-hashes", "--requirement", str(lock))
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode().strip().splitlines()[-1:] or ["no reason given"]
            raise UnavailableError(f"unable to install {lock.name}; {reason[0]}") from None
        done.touch()
    return python


def _git(*arguments: str) -> bytes:
    try:
        return _call("git", "-C", str(REPOSITORY), *arguments)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(error.stderr.decode().strip()) from None


def _call(*command: str) -> bytes:
    done: subprocess.CompletedProcess[bytes] = subprocess.run(  # noqa: S603
        command, cwd=REPOSITORY, capture_output=True, check=True
    )
    return done.stdout
