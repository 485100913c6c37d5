"""Work on what a client has sent, away from the event loop if it is much.

Reading some megabytes takes some hundred milliseconds, in which nobody else would be served. A
thread takes no less, but lets go of the interpreter every few of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

P = ParamSpec("P")
T = TypeVar("T")

LARGE: Final = 128 * 1024
"""Less than this is read in less time than the way to a thread and back is worth."""


async def off_loop(data: Sized, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Return what `work` makes of its arguments, of which `data` is the one that counts."""
    if len(data) < LARGE:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)
