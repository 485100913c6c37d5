"""One turn of a backend: calls of a model that pass through here, as the steps of one run.

The turn is the run's agent. Its calls write chunks into it, one call after the other; in
between it waits for the next, which brings what the tools came to. It ends with a call
that ends in anything but tool calls, when no further call comes, or by one of the
producer's doors.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from gateway.agents.base import AgentTraits
from gateway.agents.model_run import MessageMetadata
from gateway.agents.usage import add_usage
from gateway.errors import ProviderUnavailableError, RunActiveError, RunStoppedError
from gateway.providers.part_ids import PartIds
from protocol.chunks import (
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
from protocol.codec import UNREADABLE
from protocol.messages import ToolPart, UIMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from gateway.agents.base import AgentRequest
    from gateway.errors import GatewayError
    from gateway.providers.base import StepResult
    from gateway.providers.proxied.content import ToolResult
    from gateway.sessions.producer import Producer
    from protocol.messages import Part

LEFT_SENTENCE: Final = (
    "The answer was interrupted because the program that wrote it stopped. Send it again."
)
BEHIND_SENTENCE: Final = (
    "The answer was interrupted because the session log could not be reached. Send it again."
)

STEP_END: Final = b'{"type":"message-metadata"'
"""How the chunk begins that ends a step after which the turn goes on."""

STOPPED: Final = "unable to go on with this run; it was stopped. Begin another"


class TurnLimits(Struct, frozen=True, kw_only=True):
    """Bounds of a turn.

    Attributes:
        idle_s: how long it waits for its next call.
        max_waiting_bytes: what may wait for the run's producer, itself waiting for Redis;
            beyond it the run is given up, and its calls go on unseen.
    """

    idle_s: float = 120.0
    max_waiting_bytes: int = 4 * 1024 * 1024


class Turn:
    """Implements `AnyAgent`.

    Args:
        stored, continued: of its run; see `Producer`.
        goes_on: whether a further call may come: the run has a key that its caller knows.
        on_end: called once, when no further call can come.
    """

    def __init__(
        self,
        name: str,
        *,
        stored: Iterable[AnyChunk],
        continued: UIMessage | None,
        goes_on: bool,
        limits: TurnLimits,
        on_end: Callable[[Turn], None],
    ) -> None:
        self.name = name
        self.traits = AgentTraits()
        self.producer: Producer | None = None
        self.part_ids = PartIds()
        self._limits = limits
        self._goes_on = goes_on
        self._on_end = on_end
        self._idle: asyncio.TimerHandle | None = None
        self._arrived: list[AnyChunk] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._step: Step | None = None
        self._step_is_open = False
        self._pending: dict[str, None] = {}
        self._begun: set[str] = set()
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
        try:
            while True:
                while not (self._arrived or self._over):
                    self._wake.clear()
                    await self._wake.wait()
                arrived, self._arrived, self._waiting_bytes = self._arrived, [], 0
                if not arrived:
                    break
                yield arrived
            if self._failure is not None:
                yield [MessageMetadataChunk(message_metadata=self._metadata_json("error"))]
                raise self._failure
            reason = self._finish_reason
            yield [FinishChunk(finish_reason=reason, message_metadata=self._metadata_json(reason))]
        finally:
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

    def begin(self, results: Sequence[ToolResult]) -> Step:
        """Begin a call; what its tools came to is written first.

        Raises:
            RunStoppedError: a person has stopped the run.
            RunActiveError: a call of this turn is under way.
        """
        if self.stopped:
            raise RunStoppedError(STOPPED)
        if self._step is not None or self._over:
            raise RunActiveError(
                "unable to make two calls of one run at once; wait for the other, or give this "
                "one no x-midstream-session"
            )
        self._disarm()
        self._failure = None
        chunks = [_result_chunk(each) for each in results if each.call_id in self._pending]
        if self._step_is_open:
            chunks.append(FinishStepChunk())
        self._step = step = Step(self)
        if chunks:
            self.write(chunks, 0)
        return step

    def write(self, chunks: Sequence[AnyChunk], size_bytes: int) -> None:
        """Add chunks, which were so many bytes at the provider."""
        if self._over:
            return
        for chunk in chunks:
            self._note(chunk)
        if self._metadata.first_chunk_ms is None:
            self._metadata.first_chunk_ms = self._since_begin_ms()
        self._arrived += chunks
        self._waiting_bytes += size_bytes
        if self._waiting_bytes > self._limits.max_waiting_bytes and self.producer is not None:
            self.producer.interrupt(BEHIND_SENTENCE)
        self._wake.set()

    def end_step(self, step: Step, result: StepResult) -> None:
        """A call was answered."""
        if self._step is not step:
            return
        self._step = None
        self._finish_reason = result.finish_reason
        self._metadata.model = result.model or self._metadata.model
        self._metadata.usage = add_usage(self._metadata.usage, result.usage)
        failure = result.failure
        if failure is None and result.warning is not None:
            failure = ProviderUnavailableError(result.warning)
        waits = result.finish_reason == "tool-calls" or (
            # Cut, but not in these calls: whoever has made it does not see more than their end.
            result.finish_reason == "interrupted" and bool(self._pending)
        )
        if failure is None and self._goes_on and waits:
            # Whoever takes the turn over goes on counting from here.
            metadata = self._metadata_json(result.finish_reason)
            self.write([MessageMetadataChunk(message_metadata=metadata)], 0)
            self._arm()
            return
        self._failure = failure
        self._end()

    def fail_step(self, step: Step, failure: GatewayError, *, comes_again: bool) -> None:
        """A call failed. `comes_again`: its SDK will try again: the turn waits for that."""
        if self._step is not step:
            return
        self._step = None
        self._failure = failure
        if comes_again and self._goes_on:
            self._arm()
        else:
            self._end()

    def leave_step(self, step: Step) -> None:
        """The caller has left in the middle of a call."""
        if self._step is step:
            self._step = None
            if self.producer is not None:
                self.producer.interrupt(LEFT_SENTENCE)
            self._end()

    def end_idle(self) -> None:
        """End it if no call is under way: this process shuts down, another takes the next."""
        if self._step is None:
            self._end()

    # -- what it knows ------------------------------------------------------------------------

    def _arm(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._limits.idle_s, self._end)

    def _disarm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _end(self) -> None:
        self._disarm()
        if not self._over:
            self._over = True
            self._wake.set()
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
        """Take over what an earlier process knew of the run."""
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


class Step:
    """A call of a turn, for whoever passes its bytes on."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    @property
    def part_ids(self) -> PartIds:
        """Of the run, shared by its steps."""
        return self._turn.part_ids

    def write(self, chunks: Sequence[AnyChunk], size_bytes: int) -> None:
        """Show chunks; never waits. See `Turn.write`."""
        self._turn.write(chunks, size_bytes)

    def end(self, result: StepResult) -> None:
        """The answer is complete."""
        self._turn.end_step(self, result)

    def fail(self, failure: GatewayError, *, comes_again: bool = False) -> None:
        """The provider failed. See `Turn.fail_step`."""
        self._turn.fail_step(self, failure, comes_again=comes_again)

    def leave(self) -> None:
        """The caller is gone, and the answer with it; nothing if the call has ended."""
        self._turn.leave_step(self)

    async def until_stopped(self) -> None:
        """Return when a person has stopped the run; never, if it ends in another way."""
        producer = self._turn.producer
        if producer is not None:
            await producer.until_agent_ended()
        if not self._turn.stopped:
            await asyncio.Event().wait()


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
