"""Appends as a gateway makes them, in this process: its committers, lanes, store and channel.

So many runs put a chunk each, and the next one when all are stored and heard of.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Raw

from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, UserId
from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.codec import encode_lines
from midstream.sessions.runs.lane import Lane
from midstream.sessions.runs.shards import committer_of
from midstream.store.calls import NewMessage, OpenRun, OpenStatus, RunKey
from midstream.store.records import RunInfo, RunState, Trigger
from midstream.store.redis.store import RedisStore
from tests.bench.streams import new_chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.calls import Appended, AppendStatus
    from midstream.store.records import LogEntry

APPENDS: Final = 6_000
"""Of one measurement, about: it takes less than a second."""

_CHUNKS: Final = [TextDeltaChunk(id="t", delta="some words of it, ")]
_LINES: Final = encode_lines(_CHUNKS)


class Spent(NamedTuple):
    """Of one measurement: this process's CPU, in µs an append, and appends a second."""

    cpu_us: float
    a_second: float


class _Run:
    """A run that is written. Implements `LaneOwner`."""

    def __init__(self, key: RunKey, writers: Writers) -> None:
        self.lane = Lane(key, self)
        self._writers = writers

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """See LaneOwner."""
        self._writers.count_one()

    def lost(self, status: AppendStatus) -> None:
        """See LaneOwner."""
        self._writers.fail(RuntimeError(f"a run was lost: {status}"))

    def broken(self, error: Exception) -> None:
        """See LaneOwner."""
        self._writers.fail(error)


class Writers:
    """Runs of one store, each of a session of its own, and one subscription for all."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._committer = committer_of(store)
        self._runs: list[_Run] = []
        self._awaited = 0
        self._turn: asyncio.Future[None] | None = None

    def hear(self, session_id: SessionId, entry: LogEntry) -> None:
        """Take what the channel brings."""
        self.count_one()

    def count_one(self) -> None:
        """End the turn when all is stored, and heard of."""
        self._awaited -= 1
        if self._awaited == 0 and self._turn is not None:
            self._turn.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the turn with an error."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_exception(error)

    async def open(self, count: int) -> None:
        """Open more runs, until there are so many."""
        while len(self._runs) < count:
            session_id = SessionId(new_chat())
            opened = await self._store.open_run(_send(session_id))
            if opened.status is not OpenStatus.OPENED:
                raise RuntimeError(f"unable to open a run; {opened.status}")
            key = RunKey(session_id=session_id, run_id=RunId("run"), fence=opened.fence)
            self._runs.append(_Run(key, self))
            await self._channel.join(session_id)

    async def write(self, count: int, appends: int = APPENDS) -> Spent:
        """Append by so many runs at a time."""
        turns = appends // count
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(turns):
            self._turn = asyncio.get_running_loop().create_future()
            self._awaited = 2 * count
            for run in self._runs[:count]:
                run.lane.put(_LINES, _CHUNKS, 0)
                self._committer.notify(run.lane)
            await self._turn
        cpu_s, took_s = time.process_time() - cpu_s, time.perf_counter() - began_s
        return Spent(cpu_s / (turns * count) * 1e6, turns * count / took_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit, and listen."""
        async with self._store.channel(self.hear) as self._channel:
            tasks = [
                asyncio.create_task(self._committer.run(), name="committer"),
                asyncio.create_task(self._listen(), name="channel"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for _ in self._channel:
            pass


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Writers]:
    """Connect to a store, and write to it."""
    async with RedisStore.connect(url) as store:
        writers = Writers(store)
        async with writers.running():
            yield writers


def _send(session_id: SessionId) -> OpenRun:
    question = MessageId("question")
    return OpenRun(
        session_id=session_id,
        expected_owner=UserId("bench"),
        expected_tenant=NO_TENANT,
        run=RunInfo(
            id=RunId("run"),
            state=RunState.OPEN,
            message_id=MessageId("answer"),
            user_message_id=question,
            trigger=Trigger.SUBMIT,
            agent="bench",
        ),
        user_message=NewMessage(
            id=question, parent_id=None, content_hash="", message=Raw(b'{"id":"question"}')
        ),
        replaced_message=None,
        content_hash="",
        new_epoch="e",
        title="",
        lease_ms=3_600_000,
    )
