"""Replay of a resumed run: no chunk twice, no hole, no diverging text.

A resuming agent begins at the last remembered point. It repeats the chunks that the log has after
that point; they are compared with the log, and not written a second time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.aio.backoff import Backoff
from midstream.errors import AgentError, StoreUnavailableError, UpgradeNeededError
from midstream.protocol.codec import encode
from midstream.protocol.deltas import extended_by, text_of
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.sentences import DIVERGED_SENTENCE
from midstream.store.calls import AppendStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.base import Interrupted
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.runs.lane import Lane
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)


OPTIONAL_LIMIT_S: Final = 1.0
"""Longest wait of an agent for an optional point: less than a person notices."""


class Replay:
    """Chunks that the log holds after the point, until the agent has repeated all of them."""

    def __init__(self, interrupted: Interrupted, message_id: str, base: UIMessage | None) -> None:
        self.next = interrupted.next
        self._chunks = interrupted.chunks
        self._repeated = 0  # characters of the delta at `next`
        self._message_id = message_id
        self._base = base

    @property
    def is_complete(self) -> bool:
        """Whether the agent has said all that the log holds."""
        return self.next >= len(self._chunks)

    @property
    def is_within_delta(self) -> bool:
        """Whether the agent has said only a part of the delta at `next`."""
        return self._repeated > 0

    def writer(self) -> ChunkWriter:
        """Return the run's writer as it was at the point."""
        return self._writer_after(self.next)

    def last_writer(self) -> ChunkWriter:
        """Return the run's writer as it was after the last chunk of the log."""
        return self._writer_after(len(self._chunks))

    def _writer_after(self, count: int) -> ChunkWriter:
        return ChunkWriter.resume_from(self._chunks[:count], self._message_id, self._base)

    def pass_over(self, chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
        """Compare chunks with the log, and return those after its end.

        Raises:
            AgentError: they differ from the log; none of them was written.
        """
        for index, chunk in enumerate(chunks):
            if self.is_complete:
                return chunks[index:]
            more = self._repeat(chunk)
            if more is not None:
                return [more, *chunks[index + 1 :]]
        return []

    def _repeat(self, chunk: AnyChunk) -> AnyChunk | None:
        """Compare a chunk with the log; return the part of a delta that the log does not hold.

        A text may be cut into deltas in other places than in the log.
        """
        if self._repeated == 0 and encode(chunk) == encode(self._chunks[self.next]):
            self.next += 1
            return None
        part = extended_by(chunk)
        if part is None:
            raise self._diverged()
        text = text_of(chunk)
        while text:
            if self.is_complete:
                return part.by(text)
            stored = self._chunks[self.next]
            if extended_by(stored) != part:
                raise self._diverged()
            left = text_of(stored)[self._repeated :]
            if text.startswith(left):
                text = text[len(left) :]
                self.next, self._repeated = self.next + 1, 0
            elif left.startswith(text):
                self._repeated += len(text)
                return None
            else:
                raise self._diverged()
        return None

    def _diverged(self) -> AgentError:
        logger.error("run_diverged sequence=%d", self.next)
        return AgentError(DIVERGED_SENTENCE)


class StoredMemory:
    """A run's memory, in the store beside the run. Implements `agents.base.RunMemory`.

    Args:
        lane: told when the run belongs to another producer.
        replay: of a resumed run. While the agent has said only a part of a delta of the log, no
            sequence says where it is.
        limit_s: how long a required point waits for Redis.

    Attributes:
        point: what was remembered last, whether or not Redis has it yet.
    """

    def __init__(
        self,
        lane: Lane,
        store: SessionStore,
        *,
        interrupted: Interrupted | None,
        replay: Replay | None,
        limit_s: float,
    ) -> None:
        self.interrupted = interrupted
        self.point = b"" if interrupted is None else interrupted.point
        self._lane = lane
        self._store = store
        self._replay = replay
        self._limit_s = limit_s

    @property
    def next(self) -> int:
        """See RunMemory."""
        replay = self._replay
        return self._lane.next_sequence if replay is None or replay.is_complete else replay.next

    async def reached(self) -> int:
        """See RunMemory."""
        try:
            async with asyncio.timeout(self._limit_s):
                await self._lane.drained()
        except TimeoutError:
            raise _unreachable() from None
        return self.next

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        """See RunMemory."""
        self.point = point
        if self._replay is not None and self._replay.is_within_delta:
            if required:
                raise AgentError(DIVERGED_SENTENCE)  # it was between two chunks the first time
            return
        try:
            async with asyncio.timeout(self._limit_s if required else OPTIONAL_LIMIT_S):
                await self._lane.drained()
                lost = await self._keep(b"%d\n%b" % (self.next, point))
        except TimeoutError:
            if required:
                raise _unreachable() from None
            return
        if lost is not None:
            self._lane.give_up(lost)
            await asyncio.sleep(0)  # the cancellation arrives here

    async def _keep(self, kept: bytes) -> AppendStatus | None:
        """Keep a point; return why the run is not ours any more, or None if it is."""
        backoff = Backoff()
        while True:
            try:
                held = await self._store.remember(self._lane.key, kept)
                return None if held else AppendStatus.FENCED
            except UpgradeNeededError:
                return AppendStatus.NEWER
            except StoreUnavailableError:
                await backoff.wait()


def _unreachable() -> StoreUnavailableError:
    return StoreUnavailableError("unable to continue the answer; the session log cannot be reached")


def read_kept(kept: bytes) -> tuple[int, bytes]:
    """Return the sequence at which a remembered point was true, and the point.

    Before any was, an agent begins after `start`.
    """
    sequence, _, point = kept.partition(b"\n")
    return (int(sequence), point) if kept else (1, b"")
