"""What only a collection of garbage would free: objects in cycles.

Each collection stops a gateway for a moment, and until it comes the process takes more memory from
the system, which it keeps.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def garbage() -> Iterator[list[object]]:
    """Yield a list that is filled, at the end of the block, with what had to be collected in it."""
    found: list[object] = []
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()
