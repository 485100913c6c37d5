"""Progress of a model agent's run, and the part of it that outlives the process."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from midstream.protocol.chunks import (
    AnyChunk,
    FinishReason,
    OpaqueChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    StartStepChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolInputAvailableChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.cut_calls import INTERRUPTED_CALL
from midstream.providers.base import PendingCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from midstream.agents.base import Interrupted, RunMemory
    from midstream.providers.part_ids import PartIds


class Answered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model's answer in a step.

    Attributes:
        calls: usable ones, for the gateway or the client.
        refused: number of unusable calls, which the model must be told of.
        questions: approval id and tool call id of each call that a person must allow.
    """

    finish_reason: FinishReason
    calls: tuple[PendingCall, ...] = ()
    refused: int = 0
    questions: tuple[tuple[str, str], ...] = ()


class RunPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The point that a run has reached.

    Attributes:
        began_ms: when it began, Unix time.
        step: the call of the model that is under way, from 0; -1 before the first, while
            allowed calls are executed.
        begins: the sequence at which this attempt at the step begins.
        attempt: number of repetitions of the step.
        executing: before the first step: tools may have been started.
        response: the provider's own point in the step's response; empty if none.
        answered: the model's answer is complete; the step's tools may have been started.
        model, usage, first_chunk_ms: for the message's metadata, as of now.
    """

    began_ms: int
    step: int = -1
    begins: int = 0
    attempt: int = 0
    executing: bool = False
    response: str = ""
    answered: Answered | None = None
    model: str | None = None
    usage: Usage | None = None
    first_chunk_ms: int | None = None


_encode: Final = msgspec.json.encode
_decoder: Final = msgspec.json.Decoder(RunPoint)


def read_point(point: bytes) -> RunPoint | None:
    """Return a remembered point, decoded; None if there is none, or it is not ours."""
    try:
        return _decoder.decode(point) if point else None
    except UNREADABLE:
        return None


class Progress:
    """A run's current point, remembered where the run has a memory.

    Attributes:
        point: the run's current point.
        interrupted: the state that another process left; None for a run that begins here.
    """

    def __init__(self, memory: RunMemory | None) -> None:
        """Begin, or resume where another process was."""
        self._memory = memory
        self.interrupted = None if memory is None else memory.interrupted
        left = None if self.interrupted is None else read_point(self.interrupted.point)
        self.point = left or RunPoint(began_ms=time.time_ns() // 1_000_000)
        self._resumes = left is not None

    @property
    def is_kept(self) -> bool:
        """Whether the run has a memory that outlives the process."""
        return self._memory is not None

    @property
    def next(self) -> int:
        """The sequence of the next chunk to be stored; 0 without a memory."""
        return 0 if self._memory is None else self._memory.next

    async def reached(self) -> int:
        """Wait until all chunks are stored, and return the next sequence; 0 without a memory."""
        return 0 if self._memory is None else await self._memory.reached()

    def take_interrupted(self, step: int) -> Interrupted | None:
        """Return the interrupted state if this step was interrupted; on the first call only."""
        if not self._resumes or self.point.step != step:
            return None
        self._resumes = False
        return self.interrupted

    async def keep(self, point: RunPoint, *, required: bool = True) -> None:
        """Set the run's point, and remember it. See `RunMemory.remember`."""
        self.point = point
        if self._memory is not None:
            await self._memory.remember(_encode(point), required=required)


class StepProgress:
    """Memory of a step's provider. Implements `providers.base.StepMemory`."""

    def __init__(self, progress: Progress) -> None:
        """Begin with the step's remembered point."""
        self._progress = progress

    @property
    def point(self) -> bytes:
        """See StepMemory."""
        return self._progress.point.response.encode()

    async def remember(self, point: bytes, *, required: bool) -> None:
        """See StepMemory."""
        here = replace(self._progress.point, response=point.decode())
        await self._progress.keep(here, required=required)


def step_ids(run_id: str, step: int, attempt: int) -> Callable[[], str]:
    """Return a generator of the ids of one attempt at a step: the same in every process."""
    made = 0

    def new_id() -> str:
        nonlocal made
        made += 1
        seed = f"{run_id}:{step}:{attempt}:{made}".encode()
        return "part_" + hashlib.blake2b(seed, digest_size=12).hexdigest()

    return new_id


def reserve_ids(part_ids: PartIds, chunks: Iterable[AnyChunk]) -> None:
    """Note which part ids chunks have used."""
    for chunk in chunks:
        if isinstance(chunk, TextStartChunk):
            part_ids.text(chunk.id, str)
        elif isinstance(chunk, ReasoningStartChunk):
            part_ids.reasoning(chunk.id, str)


def model_visible(chunks: Iterable[AnyChunk]) -> Iterator[AnyChunk]:
    """Yield the chunks that form the message sent to the model.

    A refusal before the first step is left out: the model's note names the person and the reason.
    """
    stepped = False
    for chunk in chunks:
        stepped = stepped or isinstance(chunk, StartStepChunk)
        if stepped or not isinstance(chunk, ToolOutputDeniedChunk):
            yield chunk


def results_in(chunks: Sequence[AnyChunk]) -> tuple[list[AnyChunk], set[str]]:
    """Return the tool results among chunks, and the ids of calls with a final one."""
    results: list[AnyChunk] = []
    settled: set[str] = set()
    for chunk in chunks:
        if isinstance(chunk, ToolOutputErrorChunk | ToolOutputAvailableChunk):
            results.append(chunk)
            if isinstance(chunk, ToolOutputErrorChunk) or chunk.preliminary is not True:
                settled.add(chunk.tool_call_id)
    return results, settled


def settled(calls: Iterable[PendingCall], held: Sequence[AnyChunk]) -> Iterator[Sequence[AnyChunk]]:
    """Yield the results that calls had when their process died, and errors for the others.

    Those are not executed again: they may have taken effect.
    """
    results, known = results_in(held)
    if results:
        yield results
    lost = [
        ToolOutputErrorChunk(tool_call_id=call.id, error_text=INTERRUPTED_CALL)
        for call in calls
        if call.id not in known
    ]
    if lost:
        yield lost


def open_calls(chunks: Sequence[AnyChunk]) -> list[ToolInputAvailableChunk]:
    """Return the calls among chunks that are complete and have no result."""
    calls: dict[str, ToolInputAvailableChunk] = {}
    for chunk in chunks:
        if isinstance(chunk, ToolInputAvailableChunk):
            calls[chunk.tool_call_id] = chunk
        elif isinstance(chunk, ToolOutputErrorChunk | ToolOutputAvailableChunk):
            calls.pop(chunk.tool_call_id, None)
    return list(calls.values())


def questions_of(answered: Answered) -> list[ToolApprovalRequestChunk]:
    """Return the questions that a step asks a person."""
    return [
        ToolApprovalRequestChunk(approval_id=approval_id, tool_call_id=call_id)
        for approval_id, call_id in answered.questions
    ]


def has_words(held: Sequence[AnyChunk]) -> bool:
    """Return whether an attempt at a step has said more than what passes."""
    return not all(isinstance(chunk, OpaqueChunk) and chunk.transient for chunk in held)


def taken_back(held: Sequence[AnyChunk]) -> list[AnyChunk]:
    """Return what takes back a cut attempt at a step, all of whose chunks are `held`."""
    if not has_words(held) or isinstance(held[-1], StartStepChunk | ResetStepChunk):
        return []
    # Only clients that do not know the reset still see the calls.
    return [
        *(
            ToolOutputErrorChunk(
                tool_call_id=call.tool_call_id,
                error_text=CUT,
                provider_executed=call.provider_executed,
            )
            for call in open_calls(held)
        ),
        ResetStepChunk(),
    ]


CUT: Final = "The tool was not executed: the step that called it was begun again."
