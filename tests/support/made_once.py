"""Caches slow builds from run to run, as long as their sources stay the same."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def made_once(store: Path, made_from: str, make: Callable[[Path], None], into: Path) -> None:
    """Copy a folder from the cache; make it first if no process has made it.

    Args:
        store: the cache's folder, which keeps the newest version of one kind of build.
        made_from: a fingerprint of all inputs.
        make: makes the folder, which does not exist yet.
        into: the copy, which does not exist yet.
    """
    store.mkdir(parents=True, exist_ok=True)
    # Another process may make the same, or need an older version until it has its copy.
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept, unfinished = store / made_from, store / "unfinished"
        if not kept.exists():
            for older in store.iterdir():
                if older.is_dir():
                    shutil.rmtree(older)
            make(unfinished)
            unfinished.rename(kept)
        shutil.copytree(kept, into, symlinks=True)


def fingerprint(root: Path, files: Iterable[Path], *more: str) -> str:
    """Hash files, with their names below a folder, and further strings."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
