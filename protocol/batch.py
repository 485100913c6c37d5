"""A batch of a run's chunks, framed once per encoding and shared by all who read it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from protocol.chunks import AnyChunk


class Encoding(StrEnum):
    """How a reader wants its chunks."""

    SSE = "sse"
    TEXT = "text"


class ChunkBatch:
    """Committed chunks of one run, in order.

    Two kinds. A *raw* batch is what the log holds: the line `i` has the run's sequence
    `first + i`, and `last` is `first + count - 1`. An *aggregated* one was made from the
    state after sequence `last` (for a late joiner): it stands for all chunks up to `last`,
    so of its lines only the final one carries an id in SSE, `last` (none if it is -1).

    Immutable but for the cache of its frames.

    Attributes:
        payload: one chunk's JSON a line, each ended by a newline; no newline within one.
        level: the lowest AI SDK major version (5, 6, 7) that accepts every chunk in it.
    """

    __slots__ = ("_frames", "aggregated", "count", "first", "last", "level", "payload")

    def __init__(self, *, first: int, count: int, payload: bytes, level: int) -> None: ...

    @classmethod
    def aggregate(cls, chunks: Sequence[AnyChunk], last: int) -> ChunkBatch:
        """Make the aggregated batch of a state (see `Assembler.replay`)."""
        ...

    def since(self, sequence: int) -> ChunkBatch:
        """Return the part from `sequence` on: self, or a raw batch of its tail."""
        ...

    def lines(self, level: int) -> list[bytes]:
        """Return the chunks' JSON that a client of `level` accepts, without newlines."""
        ...

    def frame(self, encoding: Encoding, level: int) -> bytes:
        """Return the bytes for a client of `level`; made once, then shared."""
        ...
