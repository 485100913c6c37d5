"""A page of a session's log, as batches of one of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.protocol.batch import ChunkBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.store.records import ChunkPage


def batches_from(page: ChunkPage, sequence: int) -> Iterator[tuple[str, ChunkBatch]]:
    """Yield a page's batches that begin with `sequence`, in order and without a hole.

    Each with the offset of its last record. What comes before `sequence` is left out.
    """
    for offset, record in page.records:
        if record.first + record.count <= sequence:
            continue
        if record.first > sequence:
            return
        batch = ChunkBatch(
            first=record.first, count=record.count, payload=record.payload, level=record.level
        )
        if record.first < sequence:
            batch = batch.since(sequence)
        yield offset, batch
        sequence = batch.last + 1
