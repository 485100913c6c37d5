"""Pages of chunks as a store reads them, of entries that a test has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.store.records import ChunkPage, ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import RunId
    from midstream.store.records import LogEntry


def page_of(entries: Sequence[LogEntry], run_id: RunId, count: int) -> ChunkPage:
    """Return the chunks of a run among the first `count` entries, none of them joined."""
    read = entries[:count]
    records = [
        (entry.offset, entry.record)
        for entry in read
        if isinstance(entry.record, ChunksRecord) and entry.record.run_id == run_id
    ]
    last = read[-1].offset if read else ""
    return ChunkPage(records=tuple(records), last=last, full=len(read) == count)
