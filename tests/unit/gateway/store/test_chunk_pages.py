"""Chunks of one run, joined from a part of the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from midstream.ids import RunId
from midstream.store.chunk_pages import JOINED_BYTES, joined_chunks
from midstream.store.record_codec import decode_entry
from midstream.store.records import ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

RUN = RunId("run")

Entry = tuple[bytes, "Sequence[bytes]"]


def entry(number: int, record: bytes) -> Entry:
    """Return an entry of the stream, as Redis answers it."""
    return b"%d-0" % number, (b"p", b"%d-0" % (number - 1), b"r", record)


def chunks(run: bytes, first: int, count: int, level: int = 5, line: bytes = b"x") -> bytes:
    """Return a record of chunks."""
    payload = b"".join(b"%s%d\n" % (line, first + i) for i in range(count))
    return b"c\n%s\n%d\n%d\n%d\n%s" % (run, first, count, level, payload)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"run", b"runs", b"other"]),
            st.integers(0, 12),
            st.integers(1, 4),
            st.integers(5, 7),
        ),
        max_size=12,
    )
)
def test_joined_records_hold_what_the_single_ones_do(
    written: list[tuple[bytes, int, int, int]],
) -> None:
    """The same lines of the same run in the same order, at the same sequences."""
    entries = [entry(i, chunks(*record)) for i, record in enumerate(written, 1)]
    single = [
        record
        for record in (decode_entry(each).record for each in entries)
        if isinstance(record, ChunksRecord) and record.run_id == RUN
    ]
    joined = [record for _, record in joined_chunks(entries, RUN)]

    assert b"".join(r.payload for r in joined) == b"".join(r.payload for r in single)
    assert [n for r in joined for n in range(r.first, r.first + r.count)] == [
        n for r in single for n in range(r.first, r.first + r.count)
    ]
    assert max((r.level for r in joined), default=0) == max((r.level for r in single), default=0)


def test_records_in_a_row_are_one_with_the_last_offset() -> None:
    """Also with another run's between them; a hole begins a new one."""
    page = joined_chunks(
        [
            entry(1, b"m\nid\n\n\n{}"),
            entry(2, chunks(b"run", 0, 2)),
            entry(3, chunks(b"other", 0, 1)),
            entry(4, chunks(b"run", 2, 1, level=7)),
            entry(5, chunks(b"run", 9, 1)),
        ],
        RUN,
    )
    assert [(offset, r.first, r.count, r.level) for offset, r in page] == [
        ("4-0", 0, 3, 7),
        ("5-0", 9, 1, 5),
    ]


def test_joined_record_ends_before_it_is_too_large_to_send_at_once() -> None:
    large = b"x" * (JOINED_BYTES // 2)
    entries = [entry(i + 1, chunks(b"run", i, 1, line=large)) for i in range(5)]
    assert [r.count for _, r in joined_chunks(entries, RUN)] == [2, 2, 1]


def test_record_that_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        page = joined_chunks(
            [
                entry(1, chunks(b"run", 0, 1)),
                entry(2, b"c\nrun\nno\nnumber\n5\nx\n"),
                entry(3, b"c\nrun\n1"),
                entry(4, chunks(b"run", 1, 1)),
            ],
            RUN,
        )
    assert [(r.first, r.count) for _, r in page] == [(0, 2)]
    assert caplog.text.count("record_unreadable") == 2
