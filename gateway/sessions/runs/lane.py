"""Lane of a run: its way into the log, by batches that are sent until their fate is known."""

from __future__ import annotations

import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from msgspec.structs import replace

from midstream.aio.backoff import DELAYS_S
from midstream.aio.pulse import Pulse
from midstream.protocol.codec import encode_lines
from midstream.protocol.deltas import joined, size_of_words
from midstream.protocol.vocabulary import LOWEST_LEVEL
from midstream.store.calls import DETECTION_S, AppendBatch, Appended, AppendStatus, RunKey
from midstream.store.records import ChunksRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

logger = logging.getLogger(__name__)

MAX_BATCH_BYTES: Final = 256 * 1024
"""One record stays well below a client's and a socket's buffers; the rest goes next time."""

RETAIN_S: Final = 2 * DETECTION_S
RETAIN_BYTES: Final = 64 * 1024
"""Records that a living producer can append again after a failover that lost them: those of
this time. A planned failover loses what is stored until it is noticed, and a busy process notices
late. An append-only file is behind by two seconds: so long Redis puts off a write behind a slow
disk. A primary that others replace may lose more: see HELD_S. Of very large answers less, but for
the last record."""

JOIN_BYTES: Final = 2 * 1024
"""Retained records below this are joined: a small one's objects are larger than its payload."""


class LaneOwner(Protocol):
    """Owner of a lane, told of the fate of its chunks: the producer."""

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """`chunks` are in the log, in order, each told of once."""
        ...

    def lost(self, status: AppendStatus) -> None:
        """Nothing more of this run is stored through us: FENCED, GONE or NEWER."""
        ...

    def broken(self, error: Exception) -> None:
        """The lane failed by itself: nothing more is stored through it; the run may be ours."""
        ...


class _Nobody:
    """An owner that has ended."""

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """Ignore it."""

    def lost(self, status: AppendStatus) -> None:
        """Ignore it."""

    def broken(self, error: Exception) -> None:
        """Ignore it."""


_NOBODY: Final = _Nobody()

_Piece: TypeAlias = "tuple[bytes | None, Sequence[AnyChunk], int, int]"
"""One `put`: payload, chunks, level, and about how many bytes they are."""


class _Batch:
    """A frozen batch.

    Attributes:
        chunks: for the assembler; None once it was told of them.
        pending_bytes: what its chunks were counted for while they were pending.
    """

    __slots__ = ("append", "chunks", "pending_bytes")

    def __init__(
        self,
        append: AppendBatch,
        chunks: Sequence[AnyChunk] | None = None,
        pending_bytes: int = 0,
    ) -> None:
        self.append = append
        self.chunks = chunks
        self.pending_bytes = pending_bytes


class Lane:
    """One run's way into the log: pending chunks, one batch under way, recent ones kept.

    Args:
        first: the sequence of the first chunk to be put; more than 0 for a run that was
            taken over.
        held_s: how long records are retained, if that is longer than RETAIN_S.
    """

    def __init__(
        self, key: RunKey, owner: LaneOwner, *, first: int = 0, held_s: float = 0.0
    ) -> None:
        self.key = key
        self.pending_bytes = 0
        self._owner = owner
        self._next = first
        self._pending: list[_Piece] = []
        self._flying: _Batch | None = None
        self._again: list[_Batch] = []
        self._retained: list[tuple[float, ChunksRecord]] = []
        self._retained_bytes = 0
        self._retain_s = max(RETAIN_S, held_s)
        self._changed = Pulse()
        self._dead = False
        self._refusals = 0
        self._attempts = 0
        self.resting = False
        """Whether its batch was refused, and is sent again later."""

    def put(self, payload: bytes, chunks: Sequence[AnyChunk], level: int) -> None:
        """Add chunks, encoded as lines, behind what is pending. Never waits.

        Deltas of one part that are pending together are stored as one: when a model is fast, the
        log and its readers pay for each batch, not for each token.
        """
        self._pending.append((payload, chunks, level, len(payload)))
        self.pending_bytes += len(payload)

    def put_words(self, chunks: Sequence[AnyChunk]) -> None:
        """Add chunks that are `only_words`: encoded once, when it is known what is stored as one.

        Raises:
            UnicodeEncodeError: a text has no UTF-8.
        """
        size = size_of_words(chunks)
        self._pending.append((None, chunks, LOWEST_LEVEL, size))
        self.pending_bytes += size

    async def below(self, limit_bytes: int) -> None:
        """Wait until less than `limit_bytes` are pending, or the lane is dead."""
        while self.pending_bytes >= limit_bytes and not self._dead:
            await self._changed.wait()

    async def drained(self) -> None:
        """Wait until everything put so far is in the log, or the lane is dead."""
        while (self._pending or self._again or self._flying) and not self._dead:
            await self._changed.wait()

    @property
    def next_sequence(self) -> int:
        """The sequence of the first pending chunk; once drained, that of the next to be put."""
        return self._next

    @property
    def busy(self) -> bool:
        """Whether there is anything to send, and nothing under way."""
        if self._dead or self.resting or self._flying is not None:
            return False
        return bool(self._again or self._pending)

    def freeze(self) -> AppendBatch:
        """Take the next batch; `busy` must hold."""
        if self._again:
            self._flying = self._again.pop(0)
        else:
            self._flying = self._take()
        return self._flying.append

    def _take(self) -> _Batch:
        pieces = self._first_pieces()
        payload, together, level, size = pieces[0]
        if len(pieces) > 1:
            _, chunks, levels, sizes = zip(*pieces, strict=True)
            payload, together, level, size = None, [*chain(*chunks)], max(levels), sum(sizes)
        if len(together) > 1 and (fewer := joined(together)) is not together:
            payload, together = None, fewer
        if payload is None:
            payload = encode_lines(together)
        record = ChunksRecord(
            run_id=self.key.run_id,
            first=self._next,
            count=len(together),
            level=level,
            payload=payload,
        )
        self._next += record.count
        return _Batch(AppendBatch(key=self.key, chunks=record), together, size)

    def _first_pieces(self) -> list[_Piece]:
        """Take what is pending, as far as one batch may hold it."""
        pieces, size = self._pending, 0
        self._pending = []
        if self.pending_bytes > MAX_BATCH_BYTES:
            for index, (_, _, _, its_size) in enumerate(pieces):
                size += its_size
                if index and size > MAX_BATCH_BYTES:
                    self._pending = pieces[index:]
                    return pieces[:index]
        return pieces

    def acknowledge(self, answer: Appended) -> None:
        """Take the answer to the batch that `freeze` returned."""
        batch, self._flying = self._flying, None
        self._refusals = self._attempts = 0
        if batch is None or self._dead:
            return
        match answer.status:
            case AppendStatus.APPENDED | AppendStatus.DUPLICATE:
                self._retain(batch.append.chunks)
                if batch.chunks is not None:
                    self.pending_bytes -= batch.pending_bytes
                    self._owner.committed(batch.chunks, answer)
            case AppendStatus.GAP:
                self._append_again(batch, answer.next)
            case AppendStatus.FENCED | AppendStatus.GONE | AppendStatus.NEWER:
                self._die(answer.status)
        self._changed.send()

    def _retain(self, record: ChunksRecord) -> None:
        now, retained = time.monotonic(), self._retained
        self._retained_bytes += len(record.payload)
        if retained and len(retained[-1][1].payload) < JOIN_BYTES:
            record = _join(retained.pop()[1], record)
        retained.append((now, record))
        while len(retained) > 1 and (
            retained[0][0] < now - self._retain_s or self._retained_bytes > RETAIN_BYTES
        ):
            self._retained_bytes -= len(retained.pop(0)[1].payload)

    def _append_again(self, batch: _Batch, expected: int) -> None:
        """Send lost records again, then this batch: a failover lost acknowledged ones.

        If what it lost is older than what is retained, the run cannot be whole any more.
        """
        self._again.insert(0, batch)
        if not self.append_again(expected):
            self._die(AppendStatus.GONE)

    def append_again(self, expected: int) -> bool:
        """Make acknowledged records ready that a failover has lost: those from `expected` on.

        Returns:
            False if not all of them are retained.
        """
        lost: list[ChunksRecord] = []
        while self._retained:
            at, record = self._retained[-1]
            if record.first + record.count <= expected:
                break
            self._retained.pop()
            if record.first < expected:
                kept, record = _cut(record, expected)
                self._retained.append((at, kept))
            lost.append(record)
        if not lost or lost[-1].first != expected:
            return False
        logger.warning(
            "log_shorter_than_acknowledged run=%s expected=%d have=%d",
            *(self.key.run_id, expected, lost[0].first + lost[0].count),
        )
        self._retained_bytes -= sum(len(record.payload) for record in lost)
        again = [_Batch(AppendBatch(key=self.key, chunks=record)) for record in reversed(lost)]
        self._again[:0] = again
        return True

    def put_back(self, *, is_refused: bool = True) -> float | None:
        """Take a batch back, to be sent again unchanged.

        Args:
            is_refused: not only that its outcome is unknown, as long as its server is away.

        Returns:
            After how many seconds; None if it was refused too often: the lane is dead.
        """
        batch, self._flying = self._flying, None
        if batch is None or self._dead:
            return None
        if is_refused and self._refusals == len(DELAYS_S):
            self._die(AppendStatus.GONE)
            return None
        self._again.insert(0, batch)
        self.resting = True
        self._refusals += is_refused
        self._attempts += 1
        return DELAYS_S[min(self._attempts, len(DELAYS_S)) - 1]

    def break_down(self, error: Exception) -> None:
        """Give the lane up after a failure of its own, and tell its owner."""
        if not self._dead:
            self._bury()
            self._owner.broken(error)

    def give_up(self, status: AppendStatus) -> None:
        """Store nothing more, and tell the owner: the run is not ours any more."""
        if not self._dead:
            self._die(status)

    def leave(self) -> None:
        """Forget the owner, which has ended."""
        self._owner = _NOBODY

    def _die(self, status: AppendStatus) -> None:
        self._bury()
        self._owner.lost(status)

    def _bury(self) -> None:
        self._dead = True
        self._flying = None
        self._pending.clear()
        self._again.clear()
        self._retained.clear()
        self.pending_bytes = 0
        self._changed.send()


def _join(one: ChunksRecord, next_one: ChunksRecord) -> ChunksRecord:
    return ChunksRecord(
        run_id=one.run_id,
        first=one.first,
        count=one.count + next_one.count,
        level=max(one.level, next_one.level),
        payload=one.payload + next_one.payload,
    )


def _cut(record: ChunksRecord, sequence: int) -> tuple[ChunksRecord, ChunksRecord]:
    """Cut a record in two, the second of which begins with `sequence`."""
    count = sequence - record.first
    lines = record.payload.splitlines(keepends=True)
    return (
        replace(record, count=count, payload=b"".join(lines[:count])),
        replace(
            record,
            first=sequence,
            count=record.count - count,
            payload=b"".join(lines[count:]),
        ),
    )
