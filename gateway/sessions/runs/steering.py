"""The messages that people give to a run of this process while it is under way."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.aio.pulse import Pulse
from midstream.errors import StoreError
from midstream.ids import MessageId
from midstream.protocol.chunks import SteeringMessageChunk
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import UIMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.calls import RunKey
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

LOG_LIMIT_S: Final = 10.0
"""Longest wait for the log to have a message that was taken up."""


class RunSteers:
    """Messages for a run. Implements `agents.base.Steering`.

    Args:
        drained: waits until the log has all that the run's agent has yielded.
        message: returns the run's message as the log has it.
        stored: the run's chunks so far, of a run that another process has produced: some of the
            messages that still seem to wait may be among them.

    Attributes:
        waits: whether there may be a message that nobody has taken.
        undelivered: why those that still wait at the end cannot be delivered; None: as the run's
            end says.
    """

    def __init__(
        self,
        key: RunKey,
        store: SessionStore,
        drained: Callable[[], Awaitable[None]],
        message: Callable[[], bytes],
        stored: Iterable[AnyChunk] = (),
    ) -> None:
        self._key = key
        self._store = store
        self._drained = drained
        self._message = message
        self._stored = {chunk.id for chunk in stored if isinstance(chunk, SteeringMessageChunk)}
        self._given: set[str] = set()
        self._unconfirmed: list[MessageId] = []
        self._arrived = Pulse()
        self.waits = bool(stored)
        self.undelivered: str | None = None

    def note(self) -> None:
        """The log has a message for the run."""
        self.waits = True
        self._arrived.send()

    async def arrival(self) -> None:
        """See Steering."""
        while not self.waits:
            await self._arrived.wait()

    async def take(self, step: int) -> Sequence[UIMessage]:
        """See Steering."""
        if not self.waits:
            return ()
        self.waits = False
        try:
            given = await self._store.take_steers(self._key, step)
        except StoreError as error:
            # It comes back at the run's end, or is taken with the next one.
            logger.info("steers_wait run=%s reason=%s", self._key.run_id, error)
            return ()
        messages: list[UIMessage] = []
        for each in given:
            if each.id in self._given:
                continue
            if each.id in self._stored:
                self._unconfirmed.append(each.id)
            else:
                try:
                    messages.append(UIMessage.parse(each.message))
                except MalformedFrameError:  # of another version: it comes back at the end
                    logger.error("steer_unreadable run=%s id=%s", self._key.run_id, each.id)
            self._given.add(each.id)
        return messages

    async def confirm(self, ids: Iterable[str], step: int | None = None) -> None:
        """See Steering."""
        told = list(map(MessageId, ids))
        if not told:
            return
        stored, self._unconfirmed = self._unconfirmed, []
        try:
            async with asyncio.timeout(LOG_LIMIT_S):
                await self._drained()
                if step is not None:
                    await self._store.take_steers(self._key, step, told)
                await self._store.confirm_steers(self._key, [*stored, *told])
        except (StoreError, TimeoutError) as error:
            # The close finds them in the message.
            logger.info("steers_unconfirmed run=%s reason=%r", self._key.run_id, error)

    async def refuse(self, id_: str, reason: str) -> None:
        """See Steering."""
        try:
            await self._store.refuse_steer(self._key, MessageId(id_), reason)
        except StoreError as error:
            # It comes back at the run's end.
            logger.info("steer_unrefused run=%s reason=%r", self._key.run_id, error)
            return
        self._given.discard(id_)  # its sender may give it once more

    async def told(self) -> UIMessage:
        """See Steering."""
        await self._drained()
        return UIMessage.parse(self._message())
