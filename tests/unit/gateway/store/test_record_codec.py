"""Decoding of records: every known kind, and no other."""

from __future__ import annotations

import logging

import msgspec
import pytest

from midstream.store.record_codec import decode_entry, decode_published, decode_record
from midstream.store.records import (
    ChunksRecord,
    ErasedRecord,
    MessageRecord,
    PresenceRecord,
    RunOutcome,
    RunRecord,
    RunState,
    UnknownRecord,
)

INFO = b'{"id":"r","state":"open","messageId":"a","userMessageId":"u","trigger":"submit-message"}'
RUN = b"r\nended\nfinished\n\n1\n2\n" + INFO
CHUNKS = b'c\nr\n0\n1\n5\n{"type":"start"}\n'

KNOWN = [
    (CHUNKS, ChunksRecord),
    (b'm\nu\n\n\n{"id":"u"}', MessageRecord),
    (RUN, RunRecord),
    (b"p\n[]", PresenceRecord),
    (b"e", ErasedRecord),
]


@pytest.mark.parametrize(("data", "kind"), KNOWN)
def test_record_of_a_known_kind_is_read(data: bytes, kind: type) -> None:
    assert isinstance(decode_record(data), kind)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"q\nanything", "q"),
        (b"", ""),
        (b"E", "E"),
        (b"erase\n", "erase"),
        (b"cc\nr\n0\n1\n5\n{}\n", "cc"),
        (b"messages\nu\n\n\n{}", "messages"),
        (b"\xff\n", "\N{REPLACEMENT CHARACTER}"),
        (b"x" * 500, "x" * 64),
    ],
)
def test_record_of_an_unknown_kind_is_unknown_and_never_an_erasure(data: bytes, kind: str) -> None:
    """A kind is the whole first line: one that begins like a known one is another."""
    assert decode_record(data) == UnknownRecord(kind=kind)
    published = decode_published(b"1-0\n2-0\n" + data)
    assert (published.previous, published.offset) == ("1-0", "2-0")
    assert published.record == UnknownRecord(kind=kind)


@pytest.mark.parametrize(
    "data",
    [
        b"c\nr\n0",
        b"c\nr\nnone\n1\n5\n{}\n",
        b"m\nu",
        b"r\nopen\n\n\n1\n\n[]",
        b"r\nopen\n\n\nsoon\n\n" + INFO,
        b"c\n\xff\n0\n1\n5\n{}\n",
    ],
)
def test_record_that_cannot_be_read_is_passed_over_and_told_of(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One record must not end the reader of all sessions' channel."""
    with caplog.at_level(logging.ERROR):
        assert decode_record(data) == UnknownRecord(kind=data[:1].decode())
        assert decode_published(b"1-0\n2-0\n" + data).offset == "2-0"
    assert "record_unreadable" in caplog.text


def test_run_of_a_version_to_come_is_read_as_far_as_it_is_known() -> None:
    """A state, an outcome and a trigger stay what they are; a field more is no error."""
    info = INFO.replace(b"submit-message", b"steer-message").replace(b"}", b',"lane":"side"}')
    record = decode_record(b"r\nwaiting\nwithdrawn\n\n1\n\n" + info)

    assert isinstance(record, RunRecord)
    run = record.run
    assert (run.state, run.outcome, run.trigger) == ("waiting", "withdrawn", "steer-message")
    assert run.state is not RunState.ENDED
    told = msgspec.json.decode(msgspec.json.encode(run))
    assert (told["state"], told["outcome"]) == ("waiting", "withdrawn")


def test_known_words_are_the_members_themselves() -> None:
    record = decode_record(RUN)

    assert isinstance(record, RunRecord)
    assert record.run.state is RunState.ENDED
    assert record.run.outcome is RunOutcome.FINISHED


def test_entry_of_the_log_may_have_more_fields() -> None:
    entry = decode_entry((b"2-0", (b"p", b"1-0", b"r", b"e", b"by", b"ada")))

    assert (entry.offset, entry.previous, entry.record) == ("2-0", "1-0", ErasedRecord())
