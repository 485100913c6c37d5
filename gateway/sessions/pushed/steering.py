"""Messages that people give to pushed runs: their workers read them, and take them up.

A worker takes a message up by a `steering-message` chunk with its id. Until the log has the chunk,
the message waits: a worker that dies leaves it to the next attempt, or to the close.
"""

from __future__ import annotations

import logging
from itertools import groupby
from typing import TYPE_CHECKING

from midstream.errors import StoreError
from midstream.ids import MessageId
from midstream.protocol.chunks import StartStepChunk, SteeringMessageChunk
from midstream.protocol.codec import decode
from midstream.protocol.errors import MalformedFrameError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from msgspec import Raw

    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.log.feed import Feed
    from midstream.store.calls import RunKey
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)


class PushedSteers:
    """The messages for the runs that workers push."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def begin(
        self,
        key: RunKey,
        stored: Iterable[AnyChunk],
        waiting: Collection[MessageId],
        *,
        reads: bool,
    ) -> None:
        """Note whether a claim's worker reads messages. What waits for one that does not returns.

        Args:
            stored: the run's chunks: an earlier attempt may have taken up what still seems to wait.
            waiting: what seems to wait, for this run or another.
        """
        if waiting:
            shown = {chunk.id for chunk in stored if isinstance(chunk, SteeringMessageChunk)}
            await self.confirm(key, [each for each in waiting if each in shown])
        if reads or waiting:
            await self._store.note_reader(key, reads=reads)

    async def mark(self, key: RunKey, steps: int, chunks: Iterable[AnyChunk]) -> list[MessageId]:
        """Note the step of each message that chunks take up, before they are stored.

        Args:
            steps: how many steps the run has begun before these chunks.

        Returns:
            The messages: `confirm` them once the chunks are stored.
        """
        taken: list[tuple[int, MessageId]] = []
        for chunk in chunks:
            if isinstance(chunk, StartStepChunk):
                steps += 1
            elif isinstance(chunk, SteeringMessageChunk):
                taken.append((steps, MessageId(chunk.id)))
        for step, group in groupby(taken, key=lambda each: each[0]):
            await self._store.take_steers(key, step, [id_ for _, id_ in group])
        return [id_ for _, id_ in taken]

    async def confirm(self, key: RunKey, ids: Sequence[MessageId]) -> None:
        """Note that the log has these; never fails."""
        if not ids:
            return
        try:
            await self._store.confirm_steers(key, ids)
        except StoreError as error:
            # The next claim, or the close, finds them in the message.
            logger.info("steers_unconfirmed run=%s reason=%r", key.run_id, error)

    async def confirm_lines(self, key: RunKey, lines: Iterable[bytes]) -> None:
        """Note that the log has these chunks: the process that stored them may not have said so."""
        ids: list[MessageId] = []
        for line in lines:
            if b'"steering-message"' not in line:
                continue
            try:
                chunk = decode(line)
            except MalformedFrameError:
                continue  # the log has another one
            if isinstance(chunk, SteeringMessageChunk):
                ids.append(MessageId(chunk.id))
        await self.confirm(key, ids)


class SteerWatch:
    """Watches for messages that a worker does not know yet.

    Args:
        feed: of the run's session; it wakes the run's readers when a message comes.
        known: ids that the worker has; None: it does not ask.
    """

    def __init__(
        self, store: SessionStore, key: RunKey, feed: Feed, known: Iterable[str] | None
    ) -> None:
        self._store = store
        self._key = key
        self._feed = feed
        self._asks = known is not None
        self._known = set(known or ())

    async def look(self) -> Sequence[Raw]:
        """Return the messages that wait, oldest first, without those that are known."""
        while self._asks and (fresh := self._feed.waiting - self._known):
            given = await self._store.take_steers(self._key, None)
            if new := [each.message for each in given if each.id not in self._known]:
                return new
            self._known |= fresh  # of another run
        return ()
