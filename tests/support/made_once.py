"""What takes long to make, kept from run to run for as long as its sources stay the same."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def made_once(store: Path, made_from: str, make: Callable[[Path], None], into: Path) -> None:
    """Copy a folder that is made unless it was made already, by whatever process.

    Args:
        store: keeps the newest; of one name for one kind of thing.
        made_from: a fingerprint of all that shapes what is made.
        make: makes the folder, which does not exist yet.
        into: the copy, which does not exist yet.
    """
    store.mkdir(parents=True, exist_ok=True)
    # Another process may be at work on the same, or need an older one: until it has its copy.
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
    """Hash files, with their names below a folder, and words."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
