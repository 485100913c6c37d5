"""The response to a message that was given to the running answer: its outcome so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
from msgspec import Raw

from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import FinishChunk
from midstream.protocol.codec import data_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.sessions.queued import SteerAnswer
    from midstream.sessions.types import Idle


class SteeredReader:
    """Tells the outcome, and ends. Implements `types.RunReader`.

    Without `start`, clients add no message for it. The running answer is another response's.

    Attributes:
        run: None: it has none of its own.
    """

    run: None = None

    def __init__(self, answer: SteerAnswer) -> None:
        told = data_chunk("steering", Raw(msgspec.json.encode(answer)), transient=True)
        self._batch = ChunkBatch.aggregate([told, FinishChunk()], -1)

    def write_to(self, sink: Callable[[ChunkBatch], bool]) -> None:
        """See `types.RunReader`. It has nothing to wait for."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is held."""

    async def __aiter__(self) -> AsyncIterator[ChunkBatch | Idle]:
        """Yield the outcome."""
        yield self._batch
