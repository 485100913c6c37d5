"""People's messages for an answer that a backend is writing.

Each is sent to the backend (`steer_url`) while its stream is read. What counts is the log: a
message was delivered once it stands in the answer, as a `steering-message` of the backend's stream.
One that the backend says it has, and whose stream does not show it, is placed here. One that the
backend refuses goes back at once, and one of which nothing is known by the end, at the end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.protocol.chunks import FinishChunk, StartStepChunk, SteeringMessageChunk
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.steering import steering_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from midstream.agents.base import Steering
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage

logger = logging.getLogger(__name__)

IN_ORDER_S: Final = 1.0
"""How long a message waits for the backend's word on the one before it. A backend that holds its
word back until the message is read does not hold the others back."""
AT_END_S: Final = 2.0
"""How long the end of an answer waits for the backend's word on messages that it was just sent."""
MAX_STEPS: Final = 10_000
GONE: Final = (404, 410)
"""Statuses of a backend that no longer knows the answer."""
UNCERTAIN: Final = (408, 425, 429)
"""Statuses, beside those from 500 on, after which the backend may still have the message."""
REASONS: Final = frozenset(
    {"finished", "stop-condition", "waiting-for-tool-results", "aborted", "error", "unsupported"}
)


class SteerReply(Struct, frozen=True, kw_only=True):
    """A backend's word on a message.

    Attributes:
        reason: why it cannot have the message, in the AI SDK's words; empty: it may have it.
        delivered: whether it says that it has it.
        step: the one that reads it, from 0; None: not said.
    """

    reason: str = ""
    delivered: bool = False
    step: int | None = None


class _Outcome(Struct, rename="camel"):
    type: str = ""
    reason: str = ""
    step_number: int | None = None


def reply_of(status: int, body: str) -> SteerReply:
    """Read the answer of a backend: the AI SDK's outcome, or what its status means."""
    try:
        said = msgspec.json.decode(body, type=_Outcome)
    except UNREADABLE:
        said = _Outcome()
    if said.type == "not-delivered":
        return SteerReply(reason=said.reason if said.reason in REASONS else "unsupported")
    if status < 300:
        step = said.step_number
        known = step is not None and 0 <= step < MAX_STEPS
        return SteerReply(delivered=said.type == "delivered", step=step if known else None)
    if status >= 500 or status in UNCERTAIN:
        return SteerReply()
    return SteerReply(reason="finished" if status in GONE else "unsupported")


class Places:
    """The places of people's messages in one answer. Sans-IO.

    Attributes:
        steps: number of the answer's steps that have begun.
        fresh: messages that got their place, and the step that reads each, since this was emptied.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.fresh: list[tuple[str, int]] = []
        self._given: dict[str, UIMessage] = {}
        self._due: dict[str, int | None] = {}
        self._passed_over: set[str] = set()

    def give(self, message: UIMessage) -> None:
        """Note a message that the backend is sent."""
        self._given[message.id] = message
        self._passed_over.discard(message.id)

    def deliver(self, id_: str, step: int | None) -> None:
        """Note that the backend says it has one, for a step. Its stream may show it still."""
        if id_ in self._given:
            self._due[id_] = step

    def take_back(self, id_: str) -> bool:
        """Forget one that the backend refuses; False if it has a place already."""
        if self._given.pop(id_, None) is None:
            return False
        self._due.pop(id_, None)
        self._passed_over.add(id_)
        return True

    def place(self, chunk: AnyChunk) -> list[AnyChunk]:
        """Return what to write for a chunk of the backend: it, and the messages in front of it."""
        match chunk:
            case SteeringMessageChunk():
                if chunk.id in self._given:
                    return [self._show(chunk.id, self.steps)]
                seen = chunk.id in self._passed_over
                self._passed_over.add(chunk.id)
                return [] if seen else [chunk]
            case StartStepChunk():
                due = [i for i, step in self._due.items() if step is None or step <= self.steps]
                shown: list[AnyChunk] = [self._show(id_, self.steps) for id_ in due]
                self.steps += 1
                return [*shown, chunk]
            case FinishChunk():
                last = max(self.steps - 1, 0)
                shown = [
                    self._show(id_, last if step is None else step)
                    for id_, step in list(self._due.items())
                ]
                return [*shown, chunk]
            case _:
                return [chunk]

    def _show(self, id_: str, step: int) -> SteeringMessageChunk:
        """Return a message's chunk: in the person's words, whatever the backend made of them."""
        self._due.pop(id_, None)
        self._passed_over.add(id_)
        self.fresh.append((id_, step))
        return steering_chunk(self._given.pop(id_))


class BackendSteers:
    """Sends the messages for one answer to its backend. Begin it, and end it.

    Args:
        tell: sends one message, and returns the backend's word; never fails.
    """

    def __init__(
        self, run_id: RunId, steering: Steering, tell: Callable[[UIMessage], Awaitable[SteerReply]]
    ) -> None:
        self._run_id = run_id
        self._steering = steering
        self._tell = tell
        self._places = Places()
        self._giving: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Send what waits, and what comes: the backend has begun to answer."""
        self._giving = asyncio.create_task(self._give(), name=f"steers {self._run_id}")

    async def place(self, chunks: Sequence[AnyChunk]) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the backend's chunks, with the messages in their places."""
        ready: list[AnyChunk] = []
        for chunk in chunks:
            if isinstance(chunk, FinishChunk) and self._telling:
                if ready:
                    yield ready
                    ready = []
                await asyncio.wait(self._telling, timeout=AT_END_S)
            ready += self._places.place(chunk)
        if ready:
            yield ready
        fresh, self._places.fresh = self._places.fresh, []
        for id_, step in fresh:
            await self._steering.confirm([id_], step)

    async def end(self) -> None:
        """Send nothing more. What has no place goes back with the run's end."""
        tasks = [*self._telling, *([] if self._giving is None else [self._giving])]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                logger.error("steers_failed run=%s", self._run_id, exc_info=ended)

    async def _give(self) -> None:
        while True:
            await self._steering.arrival()
            for message in await self._steering.take(self._places.steps):
                self._places.give(message)
                telling = asyncio.create_task(
                    self._settle(message), name=f"steer {self._run_id} {message.id}"
                )
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)
                await asyncio.wait({telling}, timeout=IN_ORDER_S)

    async def _settle(self, message: UIMessage) -> None:
        reply = await self._tell(message)
        if reply.delivered:
            self._places.deliver(message.id, reply.step)
        elif reply.reason and self._places.take_back(message.id):
            await self._steering.refuse(message.id, reply.reason)
