"""Fixes what would make one build differ from itself: the hash seed, and the layout of memory.

Without this, two runs of the same build have differed by up to 9 %.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

_FIXED: Final = {"PYTHONHASHSEED": "0", "BENCH_FIXED": "1"}


def fix_seeds(module: str) -> str:
    """Start this program again with fixed seeds, which its children inherit, if it has not been.

    Returns:
        What could not be fixed, in one sentence; empty if nothing.
    """
    if "BENCH_FIXED" not in os.environ:
        again = [sys.executable, "-m", module, *sys.argv[1:]]
        if setarch := shutil.which("setarch"):
            again = [setarch, "--addr-no-randomize", *again]
        os.execvpe(again[0], again, {**os.environ, **_FIXED})  # noqa: S606
    if shutil.which("setarch"):
        return ""
    return "There is no setarch here: two runs of one build may differ by some per cent."
