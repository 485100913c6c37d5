"""A page of a session's log, as batches of one of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.batch import ChunkBatch
from midstream.store.records import ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.ids import RunId
    from midstream.store.records import LogEntry

PAGE_BYTES: Final = 64 * 1024
"""A catch-up joins small records into batches of about this size: one send each."""


def joined_batches(
    entries: Sequence[LogEntry], run_id: RunId, sequence: int
) -> Iterator[tuple[str, ChunkBatch]]:
    """Join a run's small records into batches that begin with `sequence`, in order."""
    first, count, level, size, offset = sequence, 0, 0, 0, ""
    pieces: list[bytes] = []
    for entry in entries:
        record = entry.record
        if not isinstance(record, ChunksRecord) or record.run_id != run_id:
            continue
        if record.first + record.count <= first + count:
            continue
        payload, records = record.payload, record.count
        if record.first < first + count:
            tail = ChunkBatch(
                first=record.first, count=records, payload=payload, level=record.level
            ).since(first + count)
            payload, records = tail.payload, tail.count
        elif record.first > first + count:
            break
        pieces.append(payload)
        count, size, offset = count + records, size + len(payload), entry.offset
        level = max(level, record.level)
        if size >= PAGE_BYTES:
            yield (
                offset,
                ChunkBatch(first=first, count=count, payload=b"".join(pieces), level=level),
            )
            first, count, level, size, pieces = first + count, 0, 0, 0, []
    if pieces:
        yield offset, ChunkBatch(first=first, count=count, payload=b"".join(pieces), level=level)
