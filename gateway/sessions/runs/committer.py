"""Group commit: one pipeline for all runs of a process, while the last is under way.

Producers put chunks into their run's `Lane` and never wait. The committer takes the content of
every lane, freezes it, and sends one append a run in one round trip. Idle, a chunk costs one
round trip; busy, batches grow by themselves. A frozen batch is sent again, unchanged,
until Redis has said what became of it: `(run, fence, first)` makes that safe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from msgspec.structs import replace

from midstream.aio.backoff import DELAYS_S, Backoff
from midstream.aio.pulse import Pulse
from midstream.errors import StoreError, StoreUnavailableError
from midstream.sessions.containment import contained
from midstream.store.records import (
    AppendBatch,
    Appended,
    AppendStatus,
    ChunksRecord,
    RunKey,
)
from midstream.telemetry import APPEND_SECONDS, CHUNKS_APPENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.store import SessionStore

logger = logging.getLogger(__name__)

MAX_LANES_PER_FLUSH: Final = 100
"""A flush of 500 appends holds Redis for 20 ms, and with it every other reader."""

MAX_BATCH_BYTES: Final = 256 * 1024
"""One record stays well below a client's and a socket's buffers; the rest goes next time."""

RETAIN_S: Final = 2.5
RETAIN_BYTES: Final = 64 * 1024
"""Records that a living producer can append again after a failover that lost them: those of
this time. A replica is behind by less than a second, and an append-only file by two: so
long Redis puts off a write behind a slow disk. Of very large answers less, but for the last
record."""

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


_Piece: TypeAlias = "tuple[bytes, Sequence[AnyChunk], int]"
"""One `put`: payload, chunks, level."""


class _Batch:
    """A frozen batch, and its chunks for the assembler; None once it was told of them."""

    __slots__ = ("append", "chunks")

    def __init__(self, append: AppendBatch, chunks: Sequence[AnyChunk] | None = None) -> None:
        self.append = append
        self.chunks = chunks


class Lane:
    """One run's way into the log: pending chunks, one batch under way, recent ones kept.

    Args:
        first: the sequence of the first chunk to be put; more than 0 for a run that was
            taken over.
    """

    def __init__(self, key: RunKey, owner: LaneOwner, *, first: int = 0) -> None:
        self.key = key
        self.pending_bytes = 0
        self._owner = owner
        self._next = first
        self._pending: list[_Piece] = []
        self._flying: _Batch | None = None
        self._again: list[_Batch] = []
        self._retained: list[tuple[float, ChunksRecord]] = []
        self._retained_bytes = 0
        self._changed = Pulse()
        self._dead = False
        self._refusals = 0
        self.resting = False
        """Whether its batch was refused, and is sent again later."""

    def put(self, payload: bytes, chunks: Sequence[AnyChunk], level: int) -> None:
        """Add chunks, encoded as lines, behind what is pending. Never waits."""
        self._pending.append((payload, chunks, level))
        self.pending_bytes += len(payload)

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
        """The sequence of the next chunk to be put, once all before are stored."""
        return self._next

    @property
    def busy(self) -> bool:
        """Whether there is anything to send."""
        return not (self._dead or self.resting) and bool(self._again or self._pending)

    def freeze(self) -> AppendBatch:
        """Take the next batch; `busy` must hold and none may be under way."""
        if self._again:
            self._flying = self._again.pop(0)
        else:
            self._flying = self._take()
        return self._flying.append

    def _take(self) -> _Batch:
        payloads, chunks, levels = zip(*self._first_pieces(), strict=True)
        together = chunks[0] if len(chunks) == 1 else list(chain.from_iterable(chunks))
        record = ChunksRecord(
            run_id=self.key.run_id,
            first=self._next,
            count=len(together),
            level=max(levels),
            payload=b"".join(payloads),
        )
        self._next += record.count
        return _Batch(AppendBatch(key=self.key, chunks=record), together)

    def _first_pieces(self) -> list[_Piece]:
        """Take what is pending, as far as one batch may hold it."""
        pieces, size = self._pending, 0
        for index, (payload, _, _) in enumerate(pieces):
            size += len(payload)
            if index and size > MAX_BATCH_BYTES:
                self._pending = pieces[index:]
                return pieces[:index]
        self._pending = []
        return pieces

    def acknowledge(self, answer: Appended) -> None:
        """Take the answer to the batch that `freeze` returned."""
        batch, self._flying = self._flying, None
        self._refusals = 0
        if batch is None or self._dead:
            return
        match answer.status:
            case AppendStatus.APPENDED | AppendStatus.DUPLICATE:
                self._retain(batch.append.chunks)
                if batch.chunks is not None:
                    self.pending_bytes -= len(batch.append.chunks.payload)
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
            retained[0][0] < now - RETAIN_S or self._retained_bytes > RETAIN_BYTES
        ):
            self._retained_bytes -= len(retained.pop(0)[1].payload)

    def _append_again(self, batch: _Batch, expected: int) -> None:
        """Send lost records again, then this batch: a failover lost acknowledged ones.

        If what it lost is older than what is retained, the run cannot be whole any more.
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
            self._die(AppendStatus.GONE)
            return
        logger.warning(
            "log_shorter_than_acknowledged run=%s expected=%d have=%d",
            self.key.run_id,
            expected,
            batch.append.chunks.first,
        )
        again = [batch]
        for record in lost:
            self._retained_bytes -= len(record.payload)
            again.append(_Batch(AppendBatch(key=self.key, chunks=record)))
        self._again[:0] = reversed(again)

    def put_back(self) -> float | None:
        """Take a refused batch back, to be sent again.

        Returns:
            After how many seconds; None if it was refused too often: the lane is dead.
        """
        batch, self._flying = self._flying, None
        if batch is None or self._dead:
            return None
        if self._refusals == len(DELAYS_S):
            self._die(AppendStatus.GONE)
            return None
        self._again.insert(0, batch)
        self.resting = True
        self._refusals += 1
        return DELAYS_S[self._refusals - 1]

    def break_down(self, error: Exception) -> None:
        """Give the lane up after a failure of its own, and tell its owner."""
        if not self._dead:
            self._bury()
            self._owner.broken(error)

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


class Committer:
    """Sends the batches of lanes. One for each process; `run` is its only task."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._ready: dict[Lane, None] = {}
        self._wake = asyncio.Event()

    def notify(self, lane: Lane) -> None:
        """Queue a lane that has something to send."""
        self._ready[lane] = None
        self._wake.set()

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await self._wake.wait()
            lanes = self._choose()
            if not lanes:
                self._wake.clear()
                continue
            try:
                await self._flush(lanes)
            except Exception as error:
                # What became of their batches is not known here any more; their runs are closed
                # from the log, and the other lanes continue.
                for lane in lanes:
                    _break_down(lane, error)

    async def _flush(self, lanes: Sequence[Lane]) -> None:
        """Append one batch of each lane; a lane that fails by itself harms no other."""
        frozen: list[tuple[Lane, AppendBatch]] = []
        for lane in lanes:
            try:
                frozen.append((lane, lane.freeze()))
            except Exception as error:
                _break_down(lane, error)
        if not frozen:
            return
        answers = await self._append([batch for _, batch in frozen])
        for (lane, _), answer in zip(frozen, answers, strict=True):
            try:
                if answer is None:
                    self._rest(lane)
                else:
                    lane.acknowledge(answer)
            except Exception as error:
                _break_down(lane, error)
            if lane.busy:
                self._ready[lane] = None

    def _rest(self, lane: Lane) -> None:
        """Have a refused batch sent again later; the other lanes do not wait for it."""
        rest_s = lane.put_back()
        if rest_s is not None:
            asyncio.get_running_loop().call_later(rest_s, self._wake_up, lane)

    def _wake_up(self, lane: Lane) -> None:
        lane.resting = False
        self.notify(lane)

    def _choose(self) -> list[Lane]:
        lanes: list[Lane] = []
        while self._ready and len(lanes) < MAX_LANES_PER_FLUSH:
            lane = next(iter(self._ready))
            del self._ready[lane]
            if lane.busy:
                lanes.append(lane)
        return lanes

    async def _append(self, batches: Sequence[AppendBatch]) -> list[Appended | None]:
        """Append until the outcome is known, for as long as it takes.

        Producers bound what gathers meanwhile, and decide how long is too long.

        Returns:
            The answers in order; None for a batch that Redis refuses: it is out of memory, or
            has a foreign value under our key.
        """
        backoff = Backoff()
        while True:
            try:
                with APPEND_SECONDS.time():
                    answers = await self._store.append(batches)
            except StoreUnavailableError as error:
                if backoff.attempts == 0:
                    logger.warning("append_failed runs=%d reason=%s", len(batches), error)
                await backoff.wait()
            except Exception as error:
                if len(batches) > 1:
                    return [(await self._append([batch]))[0] for batch in batches]
                key = batches[0].key
                if isinstance(error, StoreError):
                    logger.warning(
                        "append_refused run=%s session=%s reason=%s",
                        *(key.run_id, key.session_id, error),
                    )
                else:
                    logger.exception("append_failed run=%s session=%s", key.run_id, key.session_id)
                return [None]
            else:
                CHUNKS_APPENDED.inc(sum(batch.chunks.count for batch in batches))
                return list(answers)


def _break_down(lane: Lane, error: Exception) -> None:
    with contained("committer", session=lane.key.session_id, run=lane.key.run_id):
        lane.break_down(error)
        raise error
