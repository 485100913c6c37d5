"""A proxied run: calls of a backend's model that pass through here, as the steps of one run.

It is the run's agent. Its calls write chunks into it, one after the other; in between it waits
for the next, which brings the results of tools. It ends with a call that ends in anything but
tool calls, when no further call comes, or early, as any run may.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Raw, Struct

from midstream.agents.base import AgentTraits, Spending
from midstream.agents.metadata import MessageMetadata, add_usage
from midstream.errors import ProviderUnavailableError, RunActiveError, RunStoppedError
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    FinishReason,
    FinishStepChunk,
    MessageMetadataChunk,
    ReasoningStartChunk,
    StartStepChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.messages import ToolPart, UIMessage
from midstream.providers.part_ids import PartIds
from midstream.sessions.proxied.outlet import Outlet
from midstream.sessions.sentences import LEFT_SENTENCE, OUTAGE_SENTENCE, PARALLEL, STOPPED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from midstream.agents.base import AgentRequest
    from midstream.errors import GatewayError
    from midstream.protocol.messages import Part
    from midstream.providers.base import StepResult
    from midstream.providers.passthrough.content import ToolResult
    from midstream.sessions.runs.producer import Producer


SETTLE_LIMIT_S: Final = 1.0
"""Longest wait of a call's last byte for Redis; chunks not stored by then arrive later."""


class ProxiedLimits(Struct, frozen=True, kw_only=True):
    """Bounds of a proxied run.

    Attributes:
        idle_s: how long it waits for its next call.
        max_waiting_bytes: what may wait for the run's producer, itself waiting for Redis;
            beyond it the run is given up, and its calls continue without the session.
    """

    idle_s: float = 120.0
    max_waiting_bytes: int = 4 * 1024 * 1024


class CallUnderWay(Protocol):
    """A call under way, as its run knows it. See `call.py`."""

    @property
    def ends(self) -> bool:
        """Whether the run ends with its answer, whatever that is."""
        ...


class ProxiedRun:
    """Implements `AnyAgent`.

    Args:
        stored, continued: of its run; see `Producer`.
        goes_on: whether a further call may come: the run has a key that its caller knows.
        on_end: called once, when no further call can come.
        is_taken: whether a run that is not ours any more has gone to another call of it.
    """

    def __init__(
        self,
        name: str,
        *,
        stored: Iterable[AnyChunk],
        continued: UIMessage | None,
        may_continue: bool,
        limits: ProxiedLimits,
        on_end: Callable[[ProxiedRun], None],
        is_taken: Callable[[], Awaitable[bool]],
    ) -> None:
        self.name = name
        self.traits = AgentTraits()
        self.producer: Producer | None = None
        self.part_ids = PartIds()
        self._limits = limits
        self._may_continue = may_continue
        self._on_end = on_end
        self._is_taken = is_taken
        self._idle: asyncio.TimerHandle | None = None
        self._outlet = Outlet()
        self._over = False
        self._call: CallUnderWay | None = None
        self._step_is_open = False
        self._pending: dict[str, None] = {}
        self._begun: set[str] = set()
        self._spent = Spending()
        self._failure: GatewayError | None = None
        self._finish_reason: FinishReason = "other"
        self._metadata = MessageMetadata()
        self._began_s = time.monotonic()
        for part in () if continued is None else continued.readable_parts():
            self._note_part(part)
        for chunk in stored:
            self._note(chunk)
            self._take_ids(chunk)

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield what calls write. See `AnyAgent.stream`."""
        request.begun.update(self._begun)
        self._begun = request.begun
        self._spent = request.spent
        self._spent.note(self._metadata.usage)
        try:
            while chunks := await self._outlet.next(request.emission):
                yield chunks
            if self._failure is not None:
                yield [MessageMetadataChunk(message_metadata=self._metadata_json("error"))]
                raise self._failure
            reason = self._finish_reason
            yield [FinishChunk(finish_reason=reason, message_metadata=self._metadata_json(reason))]
        finally:
            self._outlet.close()
            self._end()

    def executes(self, tool_name: str) -> bool:
        """Whether the backend executes calls of this tool: all that its model makes."""
        return True

    # -- calls --------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether a person has stopped the run."""
        return self.producer is not None and self.producer.stopped

    @property
    def over(self) -> bool:
        """Whether no further call can come."""
        producer = self.producer
        return self._over or (
            producer is not None and (producer.agent_ended or producer.fenced_off)
        )

    async def is_taken(self) -> bool:
        """Whether another call of the run has claimed it elsewhere, while this one was made."""
        return self.producer is not None and self.producer.fenced_off and await self._is_taken()

    async def settled(self) -> None:
        """Wait until the written chunks are in the log, or lost; bounded.

        Raises:
            RunActiveError: another call has claimed the run meanwhile, so some chunks are lost.
        """
        if not self._may_continue or self.producer is None:
            return  # no other process knows its key
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_LIMIT_S):
                await self._outlet.handed()
                await self.producer.drained()
        if await self.is_taken():
            raise RunActiveError(PARALLEL)

    def begin(self, call: CallUnderWay, results: Sequence[ToolResult]) -> None:
        """Begin a call; results of tools are written first.

        Raises:
            RunStoppedError: a person has stopped the run.
            RunActiveError: another call of this run is under way.
        """
        if self.stopped:
            raise RunStoppedError(STOPPED)
        if self._call is not None or self._over:
            raise RunActiveError(PARALLEL)
        self._disarm()
        self._failure = None
        chunks = [_result_chunk(each) for each in results if each.call_id in self._pending]
        if self._step_is_open:
            chunks.append(FinishStepChunk())
        self._call = call
        if chunks:
            self.write(chunks, 0)

    def write(self, chunks: Sequence[AnyChunk], size_bytes: int) -> None:
        """Add chunks, which were so many bytes at the provider."""
        if self._over:
            return
        for chunk in chunks:
            self._note(chunk)
        if self._metadata.first_chunk_ms is None:
            self._metadata.first_chunk_ms = self._since_begin_ms()
        self._outlet.put(chunks, size_bytes)
        waiting_bytes = self._outlet.waiting_bytes
        if waiting_bytes > self._limits.max_waiting_bytes and self.producer is not None:
            self.producer.interrupt(OUTAGE_SENTENCE)

    def end_call(self, call: CallUnderWay, result: StepResult) -> None:
        """A call was answered."""
        if self._call is not call:
            return
        self._call = None
        self._finish_reason = result.finish_reason
        self._metadata.model = result.model or self._metadata.model
        self._metadata.usage = add_usage(self._metadata.usage, result.usage)
        self._spent.note(self._metadata.usage)
        failure = result.failure
        if failure is None and result.warning is not None:
            failure = ProviderUnavailableError(result.warning)
        waits = result.finish_reason == "tool-calls" or (
            # Cut, but not in these calls: its caller sees no more than their end.
            result.finish_reason == "interrupted" and bool(self._pending)
        )
        if failure is None and self._may_continue and waits and not call.ends:
            self._rest(result.finish_reason)
            return
        self._failure = failure
        self._end()

    def fail_call(self, call: CallUnderWay, failure: GatewayError, *, comes_again: bool) -> None:
        """End a failed call. `comes_again`: its SDK will try again, and the run waits for that."""
        if self._call is not call:
            return
        self._call = None
        self._failure = failure
        if comes_again and self._may_continue:
            self._rest(self._finish_reason)
        else:
            self._end()

    def drop_call(self, call: CallUnderWay) -> None:
        """No call is made."""
        if self._call is call:
            self._call = None

    def leave_call(self, call: CallUnderWay) -> None:
        """The caller has left in the middle of a call."""
        if self._call is call:
            self._call = None
            if self.producer is not None:
                self.producer.interrupt(LEFT_SENTENCE)
            self._end()

    def finish(self, failure: GatewayError | None) -> None:
        """End it, as its backend says.

        Raises:
            RunActiveError: a call is under way.
        """
        if self._call is not None:
            raise RunActiveError(PARALLEL)
        self._failure = failure
        self._end()

    def end_idle(self) -> None:
        """End it if no call is under way: this process shuts down, another takes the next."""
        if self._call is None:
            self._end()

    # -- what it knows ------------------------------------------------------------------------

    def _rest(self, reason: FinishReason) -> None:
        """Wait for the next call, and say so in the log: `idle.py` looks for this chunk.

        A process that takes the run over continues the count from here.
        """
        if self._over:
            return
        metadata = self._metadata_json(reason)
        self._outlet.put([MessageMetadataChunk(message_metadata=metadata)])
        self._idle = asyncio.get_running_loop().call_later(self._limits.idle_s, self._end)

    def _disarm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _end(self) -> None:
        self._disarm()
        if not self._over:
            self._over = True
            self._outlet.end()
            self._on_end(self)

    def _note(self, chunk: AnyChunk) -> None:
        kind = type(chunk)
        if kind is StartStepChunk:
            self._step_is_open = True
        elif kind is FinishStepChunk:
            self._step_is_open = False
            self._begun.update(self._pending)
        elif isinstance(chunk, ToolInputAvailableChunk):
            if chunk.provider_executed is not True:
                self._pending[chunk.tool_call_id] = None
        elif isinstance(chunk, ToolOutputAvailableChunk | ToolOutputErrorChunk):
            self._pending.pop(chunk.tool_call_id, None)

    def _note_part(self, part: Part) -> None:
        if isinstance(part, ToolPart) and is_pending(part):
            self._pending[part.tool_call_id] = None

    def _take_ids(self, chunk: AnyChunk) -> None:
        """Take the ids and the metadata that an earlier process gave the run."""
        if isinstance(chunk, TextStartChunk):
            self.part_ids.text(chunk.id, _never)
        elif isinstance(chunk, ReasoningStartChunk):
            self.part_ids.reasoning(chunk.id, _never)
        elif isinstance(chunk, MessageMetadataChunk):
            try:
                self._metadata = msgspec.json.decode(chunk.message_metadata, type=MessageMetadata)
            except UNREADABLE:
                return
            self._began_s -= (self._metadata.duration_ms or 0) / 1000

    def _since_begin_ms(self) -> int:
        return round((time.monotonic() - self._began_s) * 1000)

    def _metadata_json(self, reason: FinishReason) -> Raw:
        self._metadata.finish_reason = reason
        self._metadata.duration_ms = self._since_begin_ms()
        return Raw(msgspec.json.encode(self._metadata))


def is_pending(part: ToolPart) -> bool:
    """Whether a call waits for its result, and not from the provider."""
    return part.state == "input-available" and part.provider_executed is not True


def _result_chunk(result: ToolResult) -> AnyChunk:
    if result.error_text is not None:
        return ToolOutputErrorChunk(tool_call_id=result.call_id, error_text=result.error_text)
    return ToolOutputAvailableChunk(tool_call_id=result.call_id, output=result.output)


def _never() -> str:
    """Make no id: what is stored is free."""
    return "stored"
