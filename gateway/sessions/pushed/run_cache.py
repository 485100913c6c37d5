"""Cache of pushed runs' writer state, rebuilt from the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import StartStepChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.access import check_agent, check_write, not_found
from midstream.sessions.log.stored_run import all_chunks, message_before
from midstream.sessions.sentences import run_ended, run_not_found
from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.access import Caller
    from midstream.store.calls import RunKey
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo, SessionMeta

MAX_RUNS: Final = 1_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of chunks that kept runs hold together. What is over is read from the log when it is used."""


class CachedRun:
    """A run, up to the end of its log at the last look.

    Attributes:
        meta: of its session, for who may write.
        next: the sequence of the next chunk.
        steps: that it has begun.
        size: bytes of its chunks.
        lock: held by the request that writes it.
        spoiled: the writer may have taken what the log has not.
    """

    def __init__(
        self,
        meta: SessionMeta,
        key: RunKey,
        run: RunInfo,
        stored: Sequence[AnyChunk],
        continued: UIMessage | None,
    ) -> None:
        self.meta = meta
        self.key = key
        self.run = run
        self.writer = ChunkWriter.resume_from(stored, run.message_id, continued)
        self.assembler = Assembler(run.message_id, continued)
        self.assembler.apply_all(stored)
        self.next = len(stored)
        self.steps = _steps_of(stored)
        self.size = len(encode_lines(stored))
        self.lock = asyncio.Lock()
        self.spoiled = False

    def stored(self, chunks: Sequence[AnyChunk], size: int) -> None:
        """The log has these, which the writer has taken before."""
        self.assembler.apply_all(chunks)
        self.next += len(chunks)
        self.steps += _steps_of(chunks)
        self.size += size


class RunCache:
    """The runs that this process has written last."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._kept: OrderedDict[RunKey, CachedRun] = OrderedDict()
        self._bytes = 0

    @asynccontextmanager
    async def hold(self, caller: Caller, key: RunKey, first: int) -> AsyncIterator[CachedRun]:
        """Hold a run alone, to write it. Leave by an exception, and it is forgotten.

        Args:
            first: the sequence of the next chunk: if what is kept is elsewhere, the
                log is read again. It may be elsewhere all the same.

        Raises:
            RunEndedError, RunNotFoundError, SessionNotFoundError, ForbiddenError,
            LogLostError, StoreUnavailableError.
        """
        while True:
            kept = self._kept.get(key)
            cached = await self._read(caller, key) if kept is None else kept
            check_write(caller, cached.meta)
            check_agent(caller, cached.run.agent)
            async with cached.lock:
                if kept is not None and cached.next != first:
                    self.forget(cached)
                if cached.spoiled:
                    continue
                try:
                    yield cached
                except BaseException:
                    self.forget(cached)
                    raise
                if not cached.spoiled:
                    self.keep(cached)
                return

    async def check(self, caller: Caller, key: RunKey) -> None:
        """Raise unless the caller may write the run; see `hold`."""
        cached = self._kept.get(key)
        check_write(caller, await self._meta(key) if cached is None else cached.meta)
        if caller.agents:
            run = await self._run(key) if cached is None else cached.run
            check_agent(caller, run.agent)

    def keep(self, cached: CachedRun) -> None:
        """Keep a run as it is now; it has been used last."""
        self._drop(cached.key)
        self._kept[cached.key] = cached
        self._bytes += cached.size
        while len(self._kept) > 1 and (len(self._kept) > MAX_RUNS or self._bytes > MAX_BYTES):
            self._drop(next(iter(self._kept)))

    def forget(self, cached: CachedRun) -> None:
        """Drop a run: its next use reads the log."""
        cached.spoiled = True
        if self._kept.get(cached.key) is cached:
            self._drop(cached.key)

    def _drop(self, key: RunKey) -> None:
        if self._kept.pop(key, None) is not None:
            self._bytes = sum(cached.size for cached in self._kept.values())

    async def _meta(self, key: RunKey) -> SessionMeta:
        meta = await self._store.load_meta(key.session_id)
        if meta is None:
            raise not_found()
        return meta

    async def _run(self, key: RunKey) -> RunInfo:
        found = await self._store.load_run(key.session_id, key.run_id)
        if found is None:
            raise run_not_found()
        return found.run

    async def _read(self, caller: Caller, key: RunKey) -> CachedRun:
        meta = await self._meta(key)
        check_write(caller, meta)
        while True:
            found = await self._store.load_run(key.session_id, key.run_id)
            if found is None:
                raise run_not_found()
            run = found.run
            if run.state is RunState.ENDED:
                raise run_ended(run, found.next)
            continued = await message_before(self._store, key.session_id, run)
            chunks = await all_chunks(
                self._store, key.session_id, key.run_id, opened=found.opened, until=found.next
            )
            cached = CachedRun(meta, key, run, chunks, continued)
            if not cached.writer.ended:  # between the two readings
                return cached


def _steps_of(chunks: Sequence[AnyChunk]) -> int:
    return sum(isinstance(chunk, StartStepChunk) for chunk in chunks)
