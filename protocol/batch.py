"""Batches of a run's chunks, framed once per encoding and shared by all readers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.codec import decode, encode
from midstream.protocol.refused_keys import encode_readable
from midstream.protocol.vocabulary import accept, level_of_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

_TEXT_DELTA = b'{"type":"text-delta",'


class Encoding(StrEnum):
    """The encoding of a reader's chunks."""

    SSE = "sse"
    """Server-sent events: one a chunk, its sequence as the event's id."""
    TEXT = "text"
    """Plain text: only the text deltas' text, as UTF-8."""


class ChunkBatch:
    """Committed chunks of one run, in order.

    A *raw* batch is a part of the log: the line `i` has the run's sequence `first + i`, and
    `last` is `first + count - 1`. An *aggregated* batch holds the state after sequence
    `last`, for a late reader. It stands for all chunks up to `last`, so in SSE only its final
    line carries an id: `last` (none if it is -1).

    Immutable, except for the cache of its frames.

    Attributes:
        payload: one chunk's JSON a line, each ended by a newline; no newline within one.
            The lines are those of `encode_lines`.
        level: the lowest level (see `vocabulary.py`) that accepts every chunk in it.
    """

    __slots__ = ("_frames", "aggregated", "count", "first", "last", "level", "payload")

    def __init__(self, *, first: int, count: int, payload: bytes, level: int) -> None:
        self.first = first
        self.count = count
        self.last = first + count - 1
        self.payload = payload
        self.level = level
        self.aggregated = False
        self._frames: dict[tuple[Encoding, int], bytes] | None = None

    @classmethod
    def aggregate(cls, chunks: Sequence[AnyChunk], last: int) -> ChunkBatch:
        """Make an aggregated batch of the chunks of a state (see `Assembler.replay`)."""
        payload, chunks = encode_readable(chunks)
        batch = cls(
            first=0,
            count=len(chunks),
            payload=payload,
            level=level_of_chunks(chunks),
        )
        batch.last = last
        batch.aggregated = True
        return batch

    @classmethod
    def join(cls, batches: Sequence[ChunkBatch]) -> ChunkBatch:
        """Join one or more consecutive raw batches into one."""
        return cls(
            first=batches[0].first,
            count=sum([batch.count for batch in batches]),
            payload=b"".join([batch.payload for batch in batches]),
            level=max([batch.level for batch in batches]),
        )

    def since(self, sequence: int) -> ChunkBatch:
        """Return the part from `sequence` on: self, or a raw batch of its tail.

        The tail is empty if the whole batch comes before `sequence`. It keeps the level of the
        whole. An aggregated batch cannot be cut and is returned unchanged.
        """
        skipped = sequence - self.first
        if self.aggregated or skipped <= 0:
            return self
        lines = self.payload.splitlines(keepends=True)[skipped:]
        return ChunkBatch(
            first=sequence, count=len(lines), payload=b"".join(lines), level=self.level
        )

    def lines(self, level: int) -> list[bytes]:
        """Return the chunks' JSON that a client of `level` accepts, without newlines."""
        return [line for _, line in self._numbered(level)]

    def frame(self, encoding: Encoding, level: int) -> bytes:
        """Return the bytes for a client of `level`; made once, then shared.

        Empty if such a client accepts nothing in the batch.
        """
        key = (encoding, level if level < self.level else self.level)
        frames = self._frames
        if frames is None:
            frames = self._frames = {}
        frame = frames.get(key)
        if frame is None:
            frame = self._text() if encoding is Encoding.TEXT else self._sse(level)
            frames[key] = frame
        return frame

    def _numbered(self, level: int) -> list[tuple[int, bytes]]:
        numbered = list(enumerate(self.payload.split(b"\n"), self.first))
        numbered.pop()  # the rest after the last newline
        if level >= self.level:
            return numbered
        accepted = [(number, accept(decode(line), level)) for number, line in numbered]
        return [(number, encode(chunk)) for number, chunk in accepted if chunk is not None]

    def _sse(self, level: int) -> bytes:
        if self.count == 1 and level >= self.level and not self.aggregated:
            return b"id: %d\ndata: %b\n" % (self.first, self.payload)
        numbered = self._numbered(level)
        if not self.aggregated:
            return b"".join([b"id: %d\ndata: %b\n\n" % event for event in numbered])
        events = [b"data: %b\n\n" % line for _, line in numbered]
        if events and self.last >= 0:
            events[-1] = b"id: %d\n%b" % (self.last, events[-1])
        return b"".join(events)

    def _text(self) -> bytes:
        deltas = [
            chunk.delta
            for line in self.payload.split(b"\n")
            if line.startswith(_TEXT_DELTA) and isinstance(chunk := decode(line), TextDeltaChunk)
        ]
        return "".join(deltas).encode()
