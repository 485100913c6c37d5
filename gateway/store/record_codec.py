"""Encoding of records in the log and on the channel.

A record is a kind, header lines, and a payload that may be of any size; the log and the
channel hold the same bytes. Chunks are the hot path, so a header is split, never parsed.
A kind is the whole first line. One that is not listed is of a newer gateway, and is passed over;
so that older ones read on, a listed kind never gets other header lines (`format.py`).

    c NL run NL first NL count NL level NL payload
    m NL id NL parent NL run NL message JSON
    r NL state NL outcome NL by NL started NL ended NL info JSON
    sm, sr: as m and r, of a run beside the main one
    qu NL paused NL waits for NL ids, by blanks NL `id reason`, by commas NL entry JSON or empty
    st NL run NL id NL outcome (empty: it waits) NL entry JSON or empty
    d NL id (empty: all)
    se NL id NL head NL by
    ho NL handoff (handoff.py), empty: none
    e

`by` is a JSON string (a user's id may hold anything); the other header fields hold no
newline. `info` is the run as it was when it was asked for; the fields before it are what
changes. Only the Lua scripts write records.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Raw

from midstream.ids import MessageId, RunId
from midstream.store.handoff.calls import Handoff, HandoffRecord
from midstream.store.records import (
    ChunksRecord,
    DeletedRecord,
    ErasedRecord,
    LogEntry,
    MessageRecord,
    PresenceRecord,
    QueueRecord,
    RunInfo,
    RunOutcome,
    RunRecord,
    RunState,
    SelectedRecord,
    SteerRecord,
    UnknownRecord,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.records import Record

logger = logging.getLogger(__name__)

_info: Final = msgspec.json.Decoder(RunInfo)
_by: Final = msgspec.json.Decoder(str)


class KeptRun(NamedTuple):
    """A run as the `runs` hash holds it. `next` is exact once the run has ended."""

    fence: int
    next: int
    opened: str
    run: RunInfo


def encode_info(run: RunInfo) -> bytes:
    """Encode what never changes of a run."""
    return msgspec.json.encode(run)


def encode_by(user: str) -> bytes:
    """Encode who stopped a run."""
    return msgspec.json.encode(user)


def decode_by(value: bytes) -> str | None:
    """Decode the user who stopped a run; None if it was not stopped."""
    return _by.decode(value) if value else None


def decode_record(data: bytes) -> Record:
    """Decode a record of the log; one that cannot be read, or is of no known kind, is Unknown."""
    end = data.find(b"\n")
    kind = data if end < 0 else data[:end]
    try:
        return _decode_known(kind, data)
    except ValueError as error:  # msgspec's errors are ValueErrors too
        logger.error("record_unreadable kind=%r reason=%s", kind[:20], error)
        return UnknownRecord(kind=_name_of(kind))


def _decode_known(kind: bytes, data: bytes) -> Record:
    if kind == b"c":
        _, run, first, count, level, payload = data.split(b"\n", 5)
        return ChunksRecord(
            run_id=RunId(run.decode()),
            first=int(first),
            count=int(count),
            level=int(level),
            payload=payload,
        )
    if kind in {b"m", b"sm"}:
        _, message_id, parent, run, message = data.split(b"\n", 4)
        return MessageRecord(
            id=MessageId(message_id.decode()),
            parent_id=MessageId(parent.decode()) if parent else None,
            run_id=RunId(run.decode()) if run else None,
            message=Raw(message),
            side=kind == b"sm",
        )
    if kind in {b"r", b"sr"}:
        return RunRecord(run=decode_run(data))
    if kind == b"qu":
        return _decode_queue(data)
    if kind == b"st":
        _, run, id_, outcome, entry = data.split(b"\n", 4)
        return SteerRecord(
            run_id=RunId(run.decode()),
            id=MessageId(id_.decode()),
            outcome=outcome.decode(),
            entry=Raw(entry) if entry else None,
        )
    if kind == b"p":
        return PresenceRecord(here=Raw(data[2:]))
    if kind == b"d":
        deleted = data[2:].decode()
        return DeletedRecord(id=MessageId(deleted) if deleted else None)
    if kind == b"se":
        _, selected, head, by = data.split(b"\n", 3)
        return SelectedRecord(
            id=MessageId(selected.decode()), head=MessageId(head.decode()), by=_by.decode(by)
        )
    if kind == b"ho":
        return HandoffRecord(handoff=Handoff.read(data[3:]))
    if kind == b"e":
        return ErasedRecord()
    return UnknownRecord(kind=_name_of(kind))


def _decode_queue(data: bytes) -> QueueRecord:
    _, paused, waits_for, order, unsent, entry = data.split(b"\n", 5)
    pairs = (each.partition(" ") for each in unsent.decode().split(",") if each)
    return QueueRecord(
        paused=paused.decode() or None,
        waits_for=waits_for.decode() or None,
        order=tuple(map(MessageId, order.decode().split())),
        unsent=tuple((MessageId(id_), reason) for id_, _, reason in pairs),
        entry=Raw(entry) if entry else None,
    )


def _name_of(kind: bytes) -> str:
    return kind[:64].decode(errors="replace")


def decode_run(data: bytes) -> RunInfo:
    """Decode a run's record."""
    _, state, outcome, by, started, ended, info = data.split(b"\n", 6)
    return msgspec.structs.replace(
        _info.decode(info),
        state=RunState(state.decode()),
        outcome=RunOutcome(outcome.decode()) if outcome else None,
        stopped_by=decode_by(by),
        started_at_ms=int(started),
        ended_at_ms=int(ended) if ended else None,
    )


def decode_kept_run(data: bytes) -> KeptRun:
    """Decode a value of the `runs` hash."""
    fence, after, opened, record = data.split(b"\n", 3)
    return KeptRun(int(fence), int(after), opened.decode(), decode_run(record))


def decode_entry(entry: tuple[bytes, Sequence[bytes]]) -> LogEntry:
    """Decode an entry of the stream: its id, and `p`, predecessor, `r`, record, and no matter."""
    offset, (_, previous, _, record, *_) = entry
    return LogEntry(
        offset=offset.decode(), previous=previous.decode(), record=decode_record(record)
    )


def decode_published(data: bytes) -> LogEntry:
    """Decode a message of the channel."""
    parts = data.split(b"\n", 7)
    if parts[2] == b"c":
        try:
            previous, offset, _, run, first, count, level, payload = parts
            return LogEntry(
                offset=offset.decode(),
                previous=previous.decode(),
                record=ChunksRecord(
                    run_id=RunId(run.decode()),
                    first=int(first),
                    count=int(count),
                    level=int(level),
                    payload=payload,
                ),
            )
        except ValueError:
            pass  # `decode_record` tells of it
    before, offset, record = data.split(b"\n", 2)
    return LogEntry(offset=offset.decode(), previous=before.decode(), record=decode_record(record))
