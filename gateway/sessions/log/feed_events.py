"""Events that a session's followers get of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from midstream.ids import RunId, is_side_run
from midstream.sessions.answerers.terms import encode_answered_by
from midstream.sessions.log.side_messages import marked_side
from midstream.sessions.queued import encode_queue_event, encode_steer_event
from midstream.sessions.types import FeedEvent
from midstream.store.handoff.calls import HandoffRecord
from midstream.store.records import ChunksRecord, MessageRecord, QueueRecord, RunRecord, SteerRecord

if TYPE_CHECKING:
    from midstream.protocol.position import Position
    from midstream.store.records import LogEntry, RunInfo


def feed_event(entry: LogEntry, position: Position) -> FeedEvent | None:
    """Return the event of a record; None for a record that followers do not get."""
    record = entry.record
    if isinstance(record, ChunksRecord):
        data = b'{"runId":"%b","first":%d,"chunks":[%b]}' % (
            record.run_id.encode(),
            record.first,
            record.payload.rstrip(b"\n").replace(b"\n", b","),
        )
        return FeedEvent("chunks", data, position, is_side_run(record.run_id))
    if isinstance(record, MessageRecord):
        return FeedEvent("message", _encode_message(record), position, record.side)
    if isinstance(record, QueueRecord):
        return FeedEvent("queue", encode_queue_event(record), position)
    if isinstance(record, SteerRecord):
        return FeedEvent("steer", encode_steer_event(record), position)
    if isinstance(record, HandoffRecord):
        answered_by = encode_answered_by(record.handoff)
        return FeedEvent("handoff", b'{"answeredBy":%b}' % bytes(answered_by), position)
    if isinstance(record, RunRecord):
        return run_event(record.run, position)
    return None


def run_event(run: RunInfo, position: Position | None) -> FeedEvent:
    """Return the event of a run's state; without a position, it is in no record."""
    return FeedEvent("run", msgspec.json.encode(run), position, run.side)


class _MessageEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    message: Raw
    parent_id: str | None
    run_id: RunId | None = None
    side: bool = False


def _encode_message(record: MessageRecord) -> bytes:
    message = record.message
    if record.side:
        message = marked_side(message, record.run_id, record.parent_id)
    return msgspec.json.encode(
        _MessageEvent(message, record.parent_id, run_id=record.run_id, side=record.side)
    )
