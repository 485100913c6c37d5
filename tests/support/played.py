"""Agents that tests play, sends, and readers whose chunks tests can see."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.agents.base import AgentTraits
from midstream.errors import DrainingError
from midstream.ids import SessionId, TenantId, UserId
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.protocol.vocabulary import HIGHEST_LEVEL
from midstream.sessions import LeaseLimits, Limits, ReaderLimits, SessionLimits
from midstream.sessions.access import Caller
from midstream.sessions.types import Idle, StartRequest
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.agents.base import AgentRequest, AnyAgent
    from midstream.ids import RunId
    from midstream.sessions.types import RunReader

ACME = TenantId("acme")
ALICE = Caller(user=UserId("alice"), tenant=ACME)
BOB = Caller(user=UserId("bob"), tenant=ACME)

FAST = Limits(
    sessions=SessionLimits(lease_ms=4_000, stop_wait_s=10),
    readers=ReaderLimits(heartbeat_interval_s=0.3, outage_limit_s=5),
    leases=LeaseLimits(lease_s=4, renew_interval_s=0.3, tick_s=0.2),
)
"""An orphan is closed within seconds; no run is one for a Redis, or a process, that a busy machine
keeps waiting for a second or two."""


class Played:
    """One run of a `Script`: the test chooses the chunks, and sees how the run ended."""

    def __init__(self, request: AgentRequest, *, by_call: bool = False) -> None:
        self.request = request
        self._emission = request.emission if by_call else None
        self.ended = asyncio.Event()
        self.cancelled = False
        self._chunks: asyncio.Queue[Sequence[AnyChunk] | Exception | None] = asyncio.Queue()

    def say(self, *chunks: AnyChunk) -> None:
        """Yield these chunks."""
        self._chunks.put_nowait(chunks)

    def tell(self, *texts: str) -> None:
        """Yield a step with one open text part, or more of it."""
        for text in texts:
            self.say(TextDeltaChunk(id="t", delta=text))

    def open(self) -> None:
        """Begin a step and a text part."""
        self.say(StartStepChunk(), TextStartChunk(id="t"))

    def end(self) -> None:
        """Close the part, and finish."""
        self.say(TextEndChunk(id="t"), FinishChunk(finish_reason="stop"))
        self._chunks.put_nowait(None)

    def finish(self) -> None:
        """Finish, with no open part."""
        self.say(FinishChunk(finish_reason="stop"))
        self._chunks.put_nowait(None)

    def fail(self, error: Exception) -> None:
        """Raise the error in the agent."""
        self._chunks.put_nowait(error)

    @property
    def left(self) -> int:
        """The number of lists of chunks that the run has not been asked for yet."""
        return self._chunks.qsize()

    async def stream(self) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the test's chunks, or give them by call."""
        try:
            while (chunks := await self._chunks.get()) is not None:
                if isinstance(chunks, Exception):
                    raise chunks
                if self._emission is None:
                    yield chunks
                elif self._emission.take(chunks):
                    await self._emission.room()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


class Script:
    """An agent that tests play, and the finder of it.

    Args:
        by_call: its runs' chunks are not yielded, but given by call.
    """

    name = "played"

    def __init__(self, *, by_call: bool = False) -> None:
        self.traits = AgentTraits()
        self._by_call = by_call
        self.runs: asyncio.Queue[Played] = asyncio.Queue()

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return this agent, for any name."""
        return self

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Hand the run to the test, and yield the test's chunks."""
        run = Played(request, by_call=self._by_call)
        self.runs.put_nowait(run)
        async for chunks in run.stream():
            yield chunks

    async def next(self) -> Played:
        """Return the next run that was started."""
        return await asyncio.wait_for(self.runs.get(), 30)


def user_message(message_id: str, text: str) -> UIMessage:
    """A person's message."""
    return UIMessage.parse(
        msgspec.json.encode(
            {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
        )
    )


def send(
    session: str, *messages: UIMessage, trigger: Trigger = Trigger.SUBMIT, **rest: object
) -> StartRequest:
    """A POST with these messages."""
    return StartRequest(
        session_id=SessionId(session),
        messages=messages,
        trigger=trigger,
        **rest,  # type: ignore[arg-type]
    )


_reading: Final[set[asyncio.Task[list[dict[str, object]]]]] = set()
"""The tasks that read. The event loop refers to none: one that a test leaves behind would be
collected as garbage in the middle of another test, with the generator that it runs."""


class Reading:
    """Reads a run in a task, so that tests can see the chunks so far."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader
        self.lines: list[bytes] = []
        self.aggregated = 0
        self.heartbeats = 0
        self._more = asyncio.Event()
        self._cut: DrainingError | None = None
        self.task = asyncio.create_task(self._read())
        _reading.add(self.task)
        self.task.add_done_callback(_reading.discard)

    async def _read(self) -> list[dict[str, object]]:
        try:
            async with self.reader as reader:
                async for item in reader:
                    if isinstance(item, Idle):
                        self.heartbeats += 1
                    else:
                        self.lines += item.lines(HIGHEST_LEVEL)
                        self.aggregated += item.aggregated
                    self._more.set()
        except DrainingError as error:
            # A test may leave its reading behind: its gateway is closed before its task is.
            self._cut = error
        return self.chunks

    @property
    def run_id(self) -> RunId:
        """The id of the run."""
        assert self.reader.run is not None
        return self.reader.run.id

    @property
    def chunks(self) -> list[dict[str, object]]:
        """The chunks so far."""
        return [msgspec.json.decode(line) for line in self.lines]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(str(c["delta"]) for c in self.chunks if c["type"] == "text-delta")

    async def until(self, condition: Callable[[Reading], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(30):
            while not condition(self):
                self._more.clear()
                await self._more.wait()

    async def end(self) -> list[dict[str, object]]:
        """Wait for the end of the run, and return all chunks.

        Raises:
            DrainingError: the gateway was closed before.
        """
        chunks = await asyncio.wait_for(self.task, 30)
        if self._cut is not None:
            raise self._cut
        return chunks


def types(chunks: Sequence[dict[str, object]]) -> list[object]:
    """The chunks' types."""
    return [chunk["type"] for chunk in chunks]
