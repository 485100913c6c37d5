"""Work on a client's body, away from the event loop if the body is large.

Decoding some megabytes takes some hundred milliseconds, in which the event loop would serve no one
else. A thread takes as long, but releases the interpreter every few milliseconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

P = ParamSpec("P")
T = TypeVar("T")

LARGE: Final = 128 * 1024
"""Smaller bodies are decoded sooner than a thread could be handed them."""


async def off_loop(data: Sized, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Return `work(*arguments)`, in a thread if `data`, one of them, is large."""
    if len(data) < LARGE:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)
