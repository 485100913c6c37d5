"""Bounded queue of chunks between an agent in Python and its run; one reader."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from midstream.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

MAX_WAITING: Final = 256
"""Chunks that may wait; more make the agent wait. Enough that a fast agent costs one switch of
tasks in hundreds of chunks, few enough that it is never far ahead of what is stored."""


class LateWriteError(AgentError):
    """The agent writes to a run that has ended, was stopped, or was interrupted."""


class Outbox:
    """Hands chunks from the agent's task to the one that produces its run."""

    def __init__(self) -> None:
        self._chunks: list[AnyChunk] = []
        self._thread = threading.get_ident()
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._handed = asyncio.Event()
        self._closed = False
        self.over = asyncio.Event()
        """Set when the run has ended."""
        self.cut_short = False
        """Whether a stop or an interruption ended the run."""

    def check(self) -> None:
        """Raise unless the caller may write now.

        Raises:
            LateWriteError: the run has ended.
            RuntimeError: it is not the thread of the run's event loop.
        """
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "unable to write to the run from another thread; hand it over with "
                "asyncio.run_coroutine_threadsafe(run.text(...), run.loop)"
            )
        if self._closed:
            raise LateWriteError("unable to write; the run has ended")

    def put(self, chunks: Sequence[AnyChunk]) -> None:
        """Add chunks, without waiting; see `is_full`."""
        self._chunks += chunks
        self._handed.clear()
        self._filled.set()

    async def send(self, chunks: Sequence[AnyChunk]) -> None:
        """Add chunks, and wait while there are too many."""
        self.put(chunks)
        if self.is_full:
            await self.room()

    @property
    def is_full(self) -> bool:
        """Whether the writer should wait for `room`."""
        return len(self._chunks) >= MAX_WAITING

    async def room(self) -> None:
        """Return once there is room, or the queue is closed."""
        while self.is_full and not self._closed:
            self._taken.clear()
            await self._taken.wait()

    async def take(self) -> list[AnyChunk]:
        """Wait for chunks and return them all; empty once closed and read to the end."""
        while not self._chunks and not self._closed:
            self._handed.set()
            self._filled.clear()
            await self._filled.wait()
        taken, self._chunks = self._chunks, []
        self._taken.set()
        return taken

    async def handed(self) -> bool:
        """Return once the reader has come for more than it was given; False if it never does."""
        ends = (asyncio.create_task(self._handed.wait()), asyncio.create_task(self.over.wait()))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        return self._handed.is_set()

    def close(self) -> None:
        """Accept no more chunks; those that wait can still be read. Idempotent."""
        self._closed = True
        self._filled.set()
        self._taken.set()

    def end(self, *, cut_short: bool) -> None:
        """Mark the run as ended, with or without the agent. Idempotent."""
        self.close()
        if not self.over.is_set():
            self.cut_short = cut_short
            self.over.set()
