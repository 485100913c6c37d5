"""Cancellations that a library has lost."""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """End the current task if it was cancelled, and a library went on.

    Behind an await in a library that is known to lose cancellations. Not in a task that has caught
    its own cancellation to clean up.

    Raises:
        CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
