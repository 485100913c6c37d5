"""The way of a proxied run's chunks to its producer: by call, as long as that waits for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.base import Emission
    from midstream.protocol.chunks import AnyChunk


class Outlet:
    """Chunks that calls write, in order. `next` is for the run's `stream` alone.

    Attributes:
        waiting_bytes: size of the chunks that the producer does not have yet.
    """

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self._waiting: list[AnyChunk] = []
        self._ended = False
        self._emission: Emission | None = None  # as long as `next` waits
        self._is_full = False
        self._broken: Exception | None = None
        self._wake = asyncio.Event()
        self._handed = asyncio.Event()

    def put(self, chunks: Sequence[AnyChunk], size_bytes: int = 0) -> None:
        """Hand chunks on; never waits."""
        if self._emission is not None:
            self._give(self._emission, chunks)
            return
        self._waiting += chunks
        self.waiting_bytes += size_bytes
        self._handed.clear()
        self._wake.set()

    def end(self) -> None:
        """Hand nothing more on."""
        self._ended = True
        self._go_on()

    async def handed(self) -> None:
        """Wait until the producer has every chunk, or takes no more."""
        await self._handed.wait()

    async def next(self, emission: Emission | None) -> Sequence[AnyChunk]:
        """Return what waits; empty at the end.

        While there is nothing, `emission` takes what comes.

        Raises:
            Whatever `Emission.take` has raised.
        """
        while not (self._waiting or self._ended):
            self._handed.set()
            self._wake.clear()
            self._emission = emission
            await self._wake.wait()
            if self._broken is not None:
                raise self._broken
            if self._is_full and emission is not None:
                await emission.room()
                self._is_full = False
        waiting, self._waiting, self.waiting_bytes = self._waiting, [], 0
        return waiting

    def close(self) -> None:
        """Note that the producer takes no more."""
        self._emission = None
        self._handed.set()

    def _give(self, emission: Emission, chunks: Sequence[AnyChunk]) -> None:
        try:
            self._is_full = emission.take(chunks)
        except asyncio.CancelledError:
            self._emission = None  # the run ends early: `next` is being cancelled
        except Exception as error:
            self._broken = error  # for `next` to raise
            self._go_on()
        else:
            if self._is_full:
                self._go_on()

    def _go_on(self) -> None:
        """Let `next` go on; what comes from now on waits for it."""
        self._emission = None
        self._wake.set()
