"""One run as a process follows it: its newest batches, and the state for late joiners.

Readers hold cursors into it. At its end they are handed what arrives, or woken for it; what has
left the ring they read from Redis. Everything is by (run, sequence), so that whatever the
session's feed goes through, no reader sees a chunk twice or misses one.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from midstream.errors import NotRecoveredError
from midstream.protocol.assembler import Assembler
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from midstream.protocol.errors import IllegalChunkError
from midstream.protocol.open_parts import of_open_parts
from midstream.protocol.salvage import apply_fitting, readable_lines
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.log.ring import Ring, contradict
from midstream.sessions.log.stored_run import PAGE_RECORDS, batches_from
from midstream.sessions.log.tail import Tail
from midstream.sessions.sentences import not_recovered
from midstream.sessions.signals.pace import RunPace
from midstream.store.records import ChunksRecord, RunInfo, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from midstream.ids import SessionId
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.log.live_runs import LiveRun, LiveRuns
    from midstream.store.contract import SessionStore

_OF_THE_END: Final = (AbortChunk, ErrorChunk, FinishChunk)
"""Chunks that are a run's end and no part of its message."""


class RunView:
    """A run in this process. Filled by the session's feed, read by any number of readers.

    Attributes:
        info: the run as last recorded.
        opened: the offset of the run's opening record, where a cold read begins.
        lost: the run was open and the session's state does not name it; see `find_again`.
        pace: when its chunks came.
        doubt: what is known may be of a log that is lost: `settle` before anything is told of it.
        rewinds: how often the log was found to hold something else than readers have had.
    """

    def __init__(
        self,
        store: SessionStore,
        session_id: SessionId,
        info: RunInfo,
        *,
        next_sequence: int,
        opened: str,
        live_runs: LiveRuns | None = None,
    ) -> None:
        self.session_id = session_id
        self.info = info
        self.opened = opened
        self.pulse: Tail[ChunkBatch, tuple[int, str]] = Tail()
        self.pace = RunPace()
        self.readers = 0
        self.lost = False
        self.doubt: tuple[str, ChunkBatch] | None = None
        self.rewinds = 0
        self._store = store
        self._live_runs = live_runs
        self._ring = Ring(next_sequence)
        self._assembler: Assembler | None = None
        self._assembled = -1
        self._envelope: list[AnyChunk] = []
        self._assembling = asyncio.Lock()
        self._replay: ChunkBatch | None = None
        self._again: int | None = None  # how far what is known has come again, if not to its end
        self._settling = asyncio.Lock()
        self._left: tuple[int, list[AnyChunk]] = (-1, [])

    @property
    def ended(self) -> bool:
        """Whether the terminal is committed, and so `next` final."""
        return self.info.state is RunState.ENDED

    @property
    def live(self) -> LiveRun | None:
        """The run's producer, if it is in this process."""
        return None if self._live_runs is None else self._live_runs.get(self.info.id)

    @property
    def next(self) -> int:
        """The sequence of the next chunk to arrive."""
        return self._ring.next

    @property
    def base(self) -> int:
        """The first sequence in memory; `base == next` when there is none."""
        return self._ring.base

    def deliver(self, offset: str, record: ChunksRecord) -> None:
        """Take the record at `offset`. What is known already is dropped."""
        ring, after = self._ring, record.first + record.count
        batch = ChunkBatch(
            first=record.first, count=record.count, payload=record.payload, level=record.level
        )
        if record.first > ring.next:
            # The feed fills holes before it delivers; this is a run that we met half-way.
            self.skip_to(record.first)
        elif record.first < ring.next:
            if ring.contradicts(batch):
                self._rewind(record.first)
            else:
                self._again = after if after < ring.next else None
                if after <= ring.next:
                    return
                batch = batch.since(ring.next)
        self.pace.heard(batch)
        if self.info.state is RunState.STOPPING:
            self.pace.heard_after_stop(batch)
        for evicted in ring.append(offset, batch):
            if evicted.first <= self._assembled + 1 <= evicted.last:
                self._apply(evicted)
        self.pulse.hand(batch, (ring.next, offset))

    def update(self, info: RunInfo) -> None:
        """Take the run's newest record."""
        if self.ended:
            return
        self.info = info
        if self.ended and self._again is not None:
            self._rewind(self._again)  # nobody appends the rest any more
        if info.state is RunState.STOPPING and (live := self.live) is not None:
            live.stop(info.stopped_by or "")
        self.pulse.send()

    def set_silent(self, silent: bool) -> None:
        """Take whether another attempt at the run is awaited."""
        if silent != self.info.silent and not self.ended:
            self.info = replace(self.info, silent=silent)
            self.pulse.send()

    def skip_to(self, next_sequence: int) -> None:
        """Take the run's length from the session's state; readers fetch what they miss."""
        if next_sequence > self.next:
            self._suspect()
            self._ring.restart(next_sequence)

    def lose(self) -> None:
        """Mark the run as lost: the session's state does not name it; it may have ended."""
        if not self.ended:
            self.lost = True
            self._suspect()

    def meet_again(self, info: RunInfo, next_sequence: int) -> None:
        """Take the run from the session's state, after which its records come again.

        The log could not be continued: it may have lost what is known here, in a failover.
        """
        if not self.ended:
            self._suspect()
            self._again = next_sequence if next_sequence < self.next else None
            self.skip_to(next_sequence)
            self.update(info)

    def _suspect(self) -> None:
        self.doubt = self._ring.newest or self.doubt
        self.pulse.send()

    async def settle(self) -> None:
        """Compare what is known with the log, once, if it may be of a log that is lost.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        async with self._settling:
            if self.doubt is None:
                return
            rewinds, doubt, (offset, known) = self.rewinds, self.doubt, self.doubt
            with suppress(NotRecoveredError):  # it was trimmed, or its session is lost
                async with aclosing(self.read_back(known.first, offset)) as batches:
                    async for _, stored in batches:
                        if rewinds == self.rewinds and contradict(known, stored):
                            self._rewind(self.next)
                        if stored.last >= known.last:
                            break
            if self.doubt is doubt:
                self.doubt = None

    def _rewind(self, next_sequence: int) -> None:
        """Forget what is known: the log holds something else, from `next_sequence` on at least.

        A failover has lost acknowledged chunks, and others were written in their place.
        """
        self._left = (self.next, self._opening(self.next))
        self.rewinds += 1
        self._ring.restart(next_sequence)
        self._assembler, self._assembled, self._envelope = None, -1, []
        self._replay = self._again = self.doubt = None
        self.pulse.send()

    async def find_again(self) -> bool:
        """Read a lost run again from Redis; False if it is gone. Raises StoreUnavailableError."""
        found = await self.look()
        if found:
            self.lost = False
        return found

    async def look(self) -> bool:
        """Read the run's state and length from Redis; False if gone. Raises as `find_again`."""
        found = await self._store.load_run(self.session_id, self.info.id)
        if found is None:
            return False
        if found.run.state is RunState.ENDED and found.next < self.next:
            self._again = found.next
        self.skip_to(found.next)
        self.update(found.run)
        return True

    async def reach(self, sequence: int, limit_s: float) -> bool:
        """Wait until the run has come to a chunk; False if it does not within `limit_s`.

        Another gateway may have shown what this one has not heard of yet, or what a failover has
        lost since, and the run's producer appends again.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while sequence > self.next and await self.look() and not self.ended:
                    if sequence > self.next:
                        await self.pulse.wait()
        return sequence <= self.next

    async def until_ended(self, limit_s: float) -> bool:
        """Wait for the run's terminal, or for it to be gone; False after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                while not self.ended:
                    if self.lost and not await self.find_again():
                        return True
                    if not self.ended:
                        await self.pulse.wait()
        except TimeoutError:
            return False
        return True

    def after(self, sequence: int) -> tuple[str, ChunkBatch]:
        """Return the batch in memory that begins with `sequence`, and its last record's offset.

        `base <= sequence < next` must hold.
        """
        return self._ring.after(sequence)

    async def read_back(self, sequence: int, offset: str) -> AsyncGenerator[tuple[str, ChunkBatch]]:
        """Read from Redis, from `sequence` on, up to what was stored when this was called.

        Yields joined batches with the offset of the last record in each. Ends early where the log
        is shorter than what was heard of it: a failover has lost the rest, and the run's producer
        appends that again.

        Args:
            offset: a record of this run at or before the one that holds `sequence`.

        Raises:
            NotRecoveredError: the chunks were trimmed, or lost with the run's producer.
            StoreUnavailableError: Redis cannot be reached.
        """
        until, is_stored = self.next, False
        while sequence < until:
            page = await self._store.read_chunks(
                self.session_id, self.info.id, offset, count=PAGE_RECORDS
            )
            fresh = False
            for last_offset, batch in batches_from(page, sequence):
                yield last_offset, batch
                sequence, offset, fresh = batch.last + 1, last_offset, True
            if fresh:
                is_stored = False
            elif page.full:
                offset = page.last
            elif is_stored or (stored := await self._stored(sequence)) is None:
                raise not_recovered(self.info.id)
            elif stored <= sequence:
                return
            else:  # it came meanwhile; or it is before `offset`, which is of the lost log
                is_stored, offset = True, self.opened

    async def _stored(self, sequence: int) -> int | None:
        """Return how many chunks were stored; None if there will never be one of this sequence."""
        found = await self._store.load_run(self.session_id, self.info.id)
        if found is None or (found.run.state is RunState.ENDED and found.next <= sequence):
            return None
        return found.next

    async def probe(self, sequence: int) -> None:
        """Check that chunks from `sequence` on can be read, before a response begins.

        Raises:
            NotRecoveredError: they were trimmed.
        """
        if sequence < self.base:
            async with aclosing(self.read_back(sequence, self.opened)) as batches:
                async for _ in batches:
                    break

    async def replay(self, base: UIMessage | None) -> ChunkBatch:
        """Return the state of the whole message, as one aggregated batch.

        Args:
            base: for a run that continues a message, that message as it was before.
        """
        if (live := self.live) is not None:
            chunks, last = live.state()
        else:
            await self.settle()
            async with self._assembling:
                assembler = await self._assemble(base)
                # Its chunks are heard a moment before the end itself: no state would tell of it.
                chunks, last = [*assembler.replay(), *self._envelope], self._assembled
        if self._replay is None or self._replay.last != last:
            nothing_said = last < 0 and not self.info.continues
            self._replay = ChunkBatch.aggregate([] if nothing_said else chunks, last)
        return self._replay

    def failure(self, cursor: int, sentence: str) -> ChunkBatch:
        """Return the last batch of a reader that cannot continue. It is not part of the run.

        It closes the parts that are open at the reader's position, as far as memory tells: Redis
        need not be asked.
        """
        writer = ChunkWriter(self.info.message_id)
        writer.write(StartChunk(message_id=self.info.message_id))
        for chunk in self._opening(cursor):
            with suppress(IllegalChunkError):  # of a part that began before what memory has
                writer.write(chunk)
        return ChunkBatch.aggregate(writer.fail(sentence), -1)

    def _opening(self, cursor: int) -> list[AnyChunk]:
        """Return what opened the parts that are open before `cursor`, as far as memory tells.

        The producer's state can be older than what arrived (Redis stored a record and could not
        say so) and newer (it said so, and the feed was cut before it brought the record).
        """
        if cursor != self.next:
            left_at, left_open = self._left
            return left_open if cursor == left_at else []
        if (live := self.live) is not None:
            chunks, last = live.state()
            if self.base <= last + 1 <= cursor:
                return of_open_parts([*chunks, *self._in_memory(last + 1)])
        if self._assembler is None and self.base == 0 and not self.info.continues:
            self._assembler = Assembler(self.info.message_id)
        if self._assembler is None or self._assembled + 1 < self.base:
            return of_open_parts(self._in_memory(self.base))
        self._catch_up()
        return of_open_parts(self._assembler.replay())

    def _in_memory(self, sequence: int) -> Iterator[AnyChunk]:
        """Yield the chunks in memory from `sequence` on; `base <= sequence` must hold."""
        while sequence < self.next:
            _, batch = self.after(sequence)
            yield from readable_lines(batch.payload)[0]
            sequence = batch.last + 1

    def _catch_up(self) -> None:
        """Take what memory has beyond the assembled state into it."""
        while self._assembled + 1 < self.next:
            self._apply(self.after(self._assembled + 1)[1])

    async def _assemble(self, base: UIMessage | None) -> Assembler:
        while True:
            if (assembler := self._assembler) is None:
                assembler = self._assembler = Assembler(self.info.message_id, base)
            if self._assembled + 1 < self.base:
                async for _, batch in self.read_back(self._assembled + 1, self.opened):
                    self._apply(batch)
            if assembler is self._assembler:  # not since a rewind
                break
        if self._assembled + 1 >= self.base:
            self._catch_up()
        return assembler

    def _apply(self, batch: ChunkBatch) -> None:
        """Take a batch into the state; what it holds already, from whichever side, is dropped."""
        if self._assembler is not None and batch.last > self._assembled:
            chunks, _ = readable_lines(batch.since(self._assembled + 1).payload)
            apply_fitting(self._assembler, chunks)
            self._envelope += [chunk for chunk in chunks if isinstance(chunk, _OF_THE_END)]
            self._assembled = batch.last
