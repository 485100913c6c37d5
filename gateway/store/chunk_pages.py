"""Chunks of one run in a part of the log, without an object for each of the log's records."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from midstream.store.records import ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.ids import RunId

logger = logging.getLogger(__name__)

JOINED_BYTES: Final = 64 * 1024
"""Size from which joined records begin anew: a reader is sent each of them at once."""

_Entry = tuple[bytes, "Sequence[bytes]"]


def joined_chunks(entries: Sequence[_Entry], run_id: RunId) -> tuple[tuple[str, ChunksRecord], ...]:
    """Join a run's records that follow each other without a hole.

    A record that cannot be read is passed over, as `decode_record` does, with a line in the log.

    Args:
        entries: of the stream: an id, and the fields `p`, predecessor, `r`, record, and no matter.

    Returns:
        Each joined record with the offset of its last part.
    """
    return tuple(_joined(entries, run_id, b"c\n" + run_id.encode() + b"\n"))


def _joined(
    entries: Sequence[_Entry], run_id: RunId, head: bytes
) -> Iterator[tuple[str, ChunksRecord]]:
    begin = len(head)
    pieces: list[bytes] = []
    first, after, level, size, offset = 0, -1, 0, 0, b""
    for entry in entries:
        record = entry[1][3]
        if not record.startswith(head):
            continue
        try:
            at, number, needs, payload = record[begin:].split(b"\n", 3)
            sequence, count, needed = int(at), int(number), int(needs)
        except ValueError as error:
            logger.error("record_unreadable kind=b'c' reason=%s", error)
            continue
        if sequence != after or size >= JOINED_BYTES:
            if pieces:
                yield _record(run_id, first, after, level, pieces, offset)
            first, level, size, pieces = sequence, 0, 0, []
        pieces.append(payload)
        after, size, offset = sequence + count, size + len(payload), entry[0]
        if needed > level:
            level = needed
    if pieces:
        yield _record(run_id, first, after, level, pieces, offset)


def _record(
    run_id: RunId, first: int, after: int, level: int, pieces: Sequence[bytes], offset: bytes
) -> tuple[str, ChunksRecord]:
    payload = b"".join(pieces)
    return offset.decode(), ChunksRecord(
        run_id=run_id, first=first, count=after - first, level=level, payload=payload
    )
