"""The newest batches of a run, for readers that are nearly at its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias

from midstream.protocol.batch import ChunkBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_S: Final = 0.5
KEPT_BYTES: Final = 256 * 1024
"""Bounds of what is kept, in time and in bytes. A reader further behind reads from Redis; few are,
because a socket's buffers fill first. Not in a number of batches: after a pause of this process
much comes at once."""

RECENT: Final = 2
"""So many are kept as they came: nearly all readers are there, and share their frames."""

LOOSE: Final = 5
"""So many gather before the older ones are joined. What a small batch holds besides its chunks
is ten times as much as they are."""

JOINED_BYTES: Final = 2 * 1024
"""Batches that are larger together stay as they are."""

_Piece: TypeAlias = "tuple[float, str, ChunkBatch]"
"""When its last record came, that record's offset, and the chunks."""


class Ring:
    """Raw batches, one after the other without a hole.

    Attributes:
        base: the first sequence held; equal to `next` when it is empty.
        next: the sequence after the last.
    """

    __slots__ = ("_bytes", "_loose", "_pieces", "base", "next")

    def __init__(self, first: int) -> None:
        self.base = first
        self.next = first
        self._pieces: list[_Piece] = []
        self._loose = 0
        self._bytes = 0

    def append(self, offset: str, batch: ChunkBatch) -> Sequence[ChunkBatch]:
        """Take the batch that begins with `next`; return those that had to leave, oldest first.

        Args:
            offset: of the record that holds it.
        """
        now, pieces = time.monotonic(), self._pieces
        pieces.append((now, offset, batch))
        self.next = batch.last + 1
        self._bytes += len(batch.payload)
        self._loose += 1
        if self._loose == LOOSE:
            self._join()
        if now - pieces[0][0] <= KEPT_S and self._bytes <= KEPT_BYTES:
            return ()
        return self._evict(now - KEPT_S)

    def after(self, sequence: int) -> tuple[str, ChunkBatch]:
        """Return the batch that begins with `sequence`, and the offset of its last record.

        `base <= sequence < next` must hold.
        """
        _, offset, batch = self._pieces[-1]
        if batch.first == sequence:
            return offset, batch  # as nearly always: readers are at the end
        for _, offset, batch in reversed(self._pieces):
            if batch.first <= sequence:
                return offset, batch.since(sequence)
        raise AssertionError("the ring has a hole")

    @property
    def newest(self) -> tuple[str, ChunkBatch] | None:
        """The last batch and the offset of its last record; None if there is none."""
        return self._pieces[-1][1:] if self._pieces else None

    def contradicts(self, batch: ChunkBatch) -> bool:
        """Whether a batch that comes again says something else than what is held of it."""
        return any(contradict(held, batch) for _, _, held in self._pieces)

    def restart(self, sequence: int) -> None:
        """Drop all batches, and continue at `sequence`."""
        self.base = self.next = sequence
        self._pieces.clear()
        self._loose = self._bytes = 0

    def _join(self) -> None:
        """Join the loose ones but for the newest, with what was joined before if all is small."""
        pieces = self._pieces
        self._loose = RECENT
        for begin in (-LOOSE - 1, -LOOSE):
            older = pieces[begin:-RECENT]
            if sum([len(batch.payload) for _, _, batch in older]) <= JOINED_BYTES:
                at, offset, _ = older[-1]
                joined = ChunkBatch.join([batch for _, _, batch in older])
                pieces[begin:-RECENT] = [(at, offset, joined)]
                return

    def _evict(self, before: float) -> list[ChunkBatch]:
        evicted: list[ChunkBatch] = []
        pieces = self._pieces
        while len(pieces) > RECENT and (pieces[0][0] < before or self._bytes > KEPT_BYTES):
            _, _, batch = pieces.pop(0)
            self._bytes -= len(batch.payload)
            self.base = batch.last + 1
            evicted.append(batch)
        self._loose = min(self._loose, len(pieces))
        return evicted


def contradict(one: ChunkBatch, other: ChunkBatch) -> bool:
    """Whether two raw batches differ in a chunk that both hold."""
    first, after = max(one.first, other.first), min(one.last, other.last) + 1
    return first < after and _between(one, first, after) != _between(other, first, after)


def _between(batch: ChunkBatch, first: int, after: int) -> list[bytes]:
    return batch.payload.splitlines()[first - batch.first : after - batch.first]
