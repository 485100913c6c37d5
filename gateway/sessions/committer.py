"""Group commit: one pipeline for all runs of a process, while the last is under way.

Producers put chunks into their run's `Lane` and go on. The committer takes what every lane
holds, freezes it, and sends one append a run in one round trip. Idle, a chunk costs one
round trip; busy, batches grow by themselves. A frozen batch is sent again, unchanged,
until Redis has said what became of it: `(run, fence, first)` makes that safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from gateway.errors import StoreError, StoreUnavailableError
from gateway.sessions.backoff import Backoff
from gateway.store.records import (
    AppendBatch,
    Appended,
    AppendStatus,
    ChunksRecord,
    RunKey,
)
from gateway.telemetry import APPEND_SECONDS, CHUNKS_APPENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.store.store import SessionStore
    from protocol.chunks import AnyChunk

logger = logging.getLogger(__name__)

MAX_LANES_PER_FLUSH: Final = 100
"""A flush of 500 appends holds Redis for 20 ms, and with it every other reader (REDIS.md §4)."""

MAX_BATCH_BYTES: Final = 256 * 1024
"""One record stays well below a client's and a socket's buffers; the rest goes next time."""

REFUSALS: Final = 5
"""How often Redis may refuse one run's batch before the run is given up, for the others' sake."""

RETAIN_BYTES: Final = 1024 * 1024
"""What a living producer can append again after a failover that lost acknowledged records."""


class LaneOwner(Protocol):
    """Who is told what became of a lane's chunks; the producer."""

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """`chunks` are in the log, in order, each told of once."""
        ...

    def lost(self, status: AppendStatus) -> None:
        """FENCED, or GONE: nothing more of this run will be stored."""
        ...


class _Batch:
    """A frozen batch, and its chunks for the assembler. `chunks` is empty once told."""

    __slots__ = ("append", "chunks", "told")

    def __init__(self, append: AppendBatch, chunks: list[AnyChunk]) -> None:
        self.append = append
        self.chunks = chunks
        self.told = False


class Lane:
    """One run's way into the log: pending chunks, one batch under way, recent ones kept."""

    def __init__(self, key: RunKey, owner: LaneOwner) -> None:
        self.key = key
        self.pending_bytes = 0
        self._owner = owner
        self._next = 0
        self._payloads: list[bytes] = []
        self._chunks: list[AnyChunk] = []
        self._levels: list[int] = []
        self._counts: list[int] = []
        self._flying: _Batch | None = None
        self._again: deque[_Batch] = deque()
        self._retained: deque[_Batch] = deque()
        self._retained_bytes = 0
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._dead = False

    def put(self, payload: bytes, chunks: Sequence[AnyChunk], level: int) -> None:
        """Add chunks, encoded as lines, behind what is pending. Never waits."""
        self._payloads.append(payload)
        self._chunks.extend(chunks)
        self._levels.append(level)
        self._counts.append(len(chunks))
        self.pending_bytes += len(payload)
        self._empty.clear()

    async def below(self, limit_bytes: int) -> None:
        """Wait until less than `limit_bytes` are pending, or the lane is dead."""
        while self.pending_bytes >= limit_bytes and not self._dead:
            self._room.clear()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until everything put so far is in the log, or the lane is dead."""
        await self._empty.wait()

    @property
    def next_sequence(self) -> int:
        """The sequence of the next chunk to be put, once all before are stored."""
        return self._next

    @property
    def busy(self) -> bool:
        """Whether there is anything to send."""
        return not self._dead and bool(self._again or self._payloads)

    def freeze(self) -> AppendBatch:
        """Take the next batch; `busy` must hold and none may be under way."""
        if self._again:
            self._flying = self._again.popleft()
        else:
            self._flying = self._take()
        return self._flying.append

    def _take(self) -> _Batch:
        size, pieces = 0, 0
        for payload in self._payloads:
            if pieces and size + len(payload) > MAX_BATCH_BYTES:
                break
            size += len(payload)
            pieces += 1
        count = sum(self._counts[:pieces])
        record = ChunksRecord(
            run_id=self.key.run_id,
            first=self._next,
            count=count,
            level=max(self._levels[:pieces]),
            payload=b"".join(self._payloads[:pieces]),
        )
        batch = _Batch(AppendBatch(key=self.key, chunks=record), self._chunks[:count])
        del self._payloads[:pieces], self._levels[:pieces], self._counts[:pieces]
        del self._chunks[:count]
        self._next += count
        return batch

    def acknowledge(self, answer: Appended) -> None:
        """Take the answer to the batch that `freeze` returned."""
        batch, self._flying = self._flying, None
        if batch is None or self._dead:
            return
        match answer.status:
            case AppendStatus.APPENDED | AppendStatus.DUPLICATE:
                self._retain(batch)
                if not batch.told:
                    batch.told = True
                    self.pending_bytes -= len(batch.append.chunks.payload)
                    self._owner.committed(batch.chunks, answer)
                    batch.chunks = []
            case AppendStatus.GAP:
                self._append_again(batch, answer.next)
            case AppendStatus.FENCED | AppendStatus.GONE:
                self._die(answer.status)
        self._room.set()
        if not self.busy:
            self._empty.set()

    def _retain(self, batch: _Batch) -> None:
        self._retained.append(batch)
        self._retained_bytes += len(batch.append.chunks.payload)
        while self._retained_bytes > RETAIN_BYTES and len(self._retained) > 1:
            self._retained_bytes -= len(self._retained.popleft().append.chunks.payload)

    def _append_again(self, batch: _Batch, expected: int) -> None:
        """The log lost what it had acknowledged (a failover): send that again, then this.

        Batches were frozen at these very boundaries, so one of them begins at `expected`,
        unless it is older than what is retained: then the run cannot be whole any more.
        """
        lost = [b for b in self._retained if b.append.chunks.first >= expected]
        if not lost or lost[0].append.chunks.first != expected:
            self._die(AppendStatus.GONE)
            return
        logger.warning(
            "log_shorter_than_acknowledged run=%s expected=%d have=%d",
            self.key.run_id,
            expected,
            batch.append.chunks.first,
        )
        for again in lost:
            self._retained.remove(again)
            self._retained_bytes -= len(again.append.chunks.payload)
        self._again.extendleft([batch, *reversed(lost)])

    def _die(self, status: AppendStatus) -> None:
        self._dead = True
        self._payloads.clear()
        self._chunks.clear()
        self._levels.clear()
        self._counts.clear()
        self._again.clear()
        self._retained.clear()
        self.pending_bytes = 0
        self._room.set()
        self._empty.set()
        self._owner.lost(status)


class Committer:
    """Sends what lanes hold. One for each process; `run` is its only task."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._ready: dict[Lane, None] = {}
        self._wake = asyncio.Event()

    def notify(self, lane: Lane) -> None:
        """Say that a lane has something to send."""
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
            answers = await self._append([lane.freeze() for lane in lanes])
            for lane, answer in zip(lanes, answers, strict=True):
                lane.acknowledge(answer)
                if lane.busy:
                    self._ready[lane] = None

    def _choose(self) -> list[Lane]:
        lanes: list[Lane] = []
        while self._ready and len(lanes) < MAX_LANES_PER_FLUSH:
            lane = next(iter(self._ready))
            del self._ready[lane]
            if lane.busy:
                lanes.append(lane)
        return lanes

    async def _append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        """Append until the outcome is known, for as long as it takes.

        Producers bound what gathers meanwhile, and decide how long is too long.
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
            except StoreError as error:
                if len(batches) > 1:
                    return [(await self._append([batch]))[0] for batch in batches]
                # Redis answers, and refuses: out of memory, or a foreign value under our key.
                if backoff.attempts >= REFUSALS:
                    logger.error("append_refused run=%s reason=%s", batches[0].key.run_id, error)
                    return [Appended(status=AppendStatus.GONE)]
                await backoff.wait()
            else:
                CHUNKS_APPENDED.inc(sum(batch.chunks.count for batch in batches))
                return answers
