"""A run as its log holds it, to resume or to end it."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

from midstream.errors import LogLostError
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.codec import decode_lines
from midstream.protocol.messages import UIMessage
from midstream.protocol.salvage import readable_lines
from midstream.store.records import ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from midstream.ids import MessageId, RunId, SessionId
    from midstream.protocol.chunks import AnyChunk
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore
    from midstream.store.records import ChunkPage, RunInfo, StoredMessage

PAGE_RECORDS: Final = 500
"""Records that one read of the log asks for: about a millisecond of Redis, and of us."""


async def stored_chunks(store: SessionStore, taken: TakenOver) -> list[AnyChunk]:
    """Return all the chunks that a run had stored when it was taken over, in order.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    return await _read(store, taken.key.session_id, taken.run.id, taken.opened, taken.next)


async def readable_chunks(store: SessionStore, taken: TakenOver) -> tuple[list[AnyChunk], bool]:
    """Return the chunks of a run that can be read, in order, and whether these are all.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    chunks: list[AnyChunk] = []
    is_whole, sequence, offset = True, 0, taken.opened
    while sequence < taken.next:
        entries = await store.read_run(taken.key.session_id, offset, count=PAGE_RECORDS)
        before = sequence
        for entry in entries:
            record = entry.record
            if isinstance(record, ChunksRecord) and record.run_id == taken.run.id:
                if record.first + record.count <= sequence:
                    continue
                new, whole = readable_lines(record.payload)
                overlap = max(0, sequence - record.first) if whole else 0
                is_whole &= whole and record.first <= sequence and len(new) == record.count
                chunks += new[overlap:]
                sequence = record.first + record.count
        if not entries or (sequence == before and entries[-1].offset == offset):
            break
        offset = entries[-1].offset
    return chunks, is_whole and sequence >= taken.next


async def all_chunks(
    store: SessionStore, session_id: SessionId, run_id: RunId, *, opened: str, until: int
) -> list[AnyChunk]:
    """Return the chunks of a run under way, in order: `until`, or more that came since.

    Args:
        opened: the offset of its opening record.

    Raises:
        LogLostError: the log has fewer.
        StoreUnavailableError: Redis cannot be reached.
    """
    chunks = await _read(store, session_id, run_id, opened, until)
    if len(chunks) < until:
        raise LogLostError("unable to continue this run; the log has lost a part of it")
    return chunks


async def _read(
    store: SessionStore, session_id: SessionId, run_id: RunId, offset: str, until: int
) -> list[AnyChunk]:
    chunks: list[AnyChunk] = []
    while len(chunks) < until:
        page = await store.read_chunks(session_id, run_id, offset, count=PAGE_RECORDS)
        before = len(chunks)
        for _, record in page.records:
            new = decode_lines(record.payload)
            chunks += new[max(0, len(chunks) - record.first) :]
        if not page.last or (len(chunks) == before and page.last == offset):
            break
        offset = page.last
    return chunks


async def stored_message(
    store: SessionStore, session_id: SessionId, message_id: MessageId
) -> UIMessage | None:
    """Return a message as it is stored, on any branch, before an open run's changes."""
    state = await store.load(session_id, leaf=message_id)
    if state is None or not state.path:
        return None
    return UIMessage.parse(state.path[-1].message)


async def message_before(
    store: SessionStore, session_id: SessionId, run: RunInfo
) -> UIMessage | None:
    """Return the message that a run continues, without what the run adds; None: it has its own.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    if not run.continues:
        return None
    return await stored_message(store, session_id, run.message_id)


def run_history(
    path: Iterable[StoredMessage], message_id: MessageId, continued: UIMessage | None
) -> tuple[UIMessage, ...]:
    """Return the conversation that a run's agent gets, oldest first.

    Args:
        message_id: the run's own message; the path may end before it.
        continued: that message as it was before the run; None: the run writes a new one.
    """
    history = model_history(takewhile(lambda message: message.id != message_id, path))
    return history if continued is None else (*history, continued)


def model_history(path: Iterable[StoredMessage]) -> tuple[UIMessage, ...]:
    """Return what a model is shown of a path.

    Not an answer whose question was deleted; and not one that was stopped before its first word:
    it says nothing, and providers refuse empty messages.
    """
    messages = ((message, UIMessage.parse(message.message)) for message in path)
    return tuple(
        parsed
        for message, parsed in messages
        if parsed.parts and not (message.unasked and parsed.role == "assistant")
    )


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
