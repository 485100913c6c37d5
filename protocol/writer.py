"""Checks the order of one run's chunks, and writes the chunks that end it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct

from midstream.protocol.chunks import (
    AbortChunk,
    AnyChunk,
    ErrorChunk,
    FinishChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ResetStepChunk,
    StartChunk,
    TextDeltaChunk,
    TextEndChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.continuation import is_allowed
from midstream.protocol.cut_calls import INTERRUPTED_CALL, Waiting, interrupts_unfinished
from midstream.protocol.errors import IllegalChunkError, LocalProtocolError, MalformedFrameError
from midstream.protocol.grammar import CLOSED_AT_THE_END, MOVES, TURNS, Effect, Phase, Slot
from midstream.protocol.messages import ToolPart
from midstream.protocol.refused_keys import is_refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from msgspec import UnsetType

    from midstream.protocol.chunks import FinishReason, Json
    from midstream.protocol.cut_calls import CutCall, WaitingCall
    from midstream.protocol.grammar import Turn
    from midstream.protocol.messages import UIMessage


class ChunkWriter:
    """Follows the chunks of one run, and writes its end.

    Args:
        message_id: the message that the run writes.
        base: if the run continues a message: that message before the run. Its tool calls may
            get their results now. A call that a person has approved counts as begun with the
            run's `start`.
    """

    __slots__ = ("_allowed", "_message_id", "_phase", "_slots", "_step", "_waiting")

    def __init__(self, message_id: str, base: UIMessage | None = None) -> None:
        self._message_id = message_id
        self._phase = Phase.UNSTARTED
        self._step = 0
        self._slots: dict[Slot, dict[str, _Entry]] = {slot: {} for slot in Slot}
        # Approved calls without a result yet, by id.
        self._allowed: dict[str, ToolPart] = {}
        self._waiting = Waiting()
        for part in () if base is None else base.readable_parts():
            if isinstance(part, ToolPart):
                call = _Entry(_BEFORE_STEPS, dynamic=part.dynamic)
                self._slots[Slot.CALL][part.tool_call_id] = call
                if part.approval is not UNSET:
                    self._slots[Slot.APPROVAL][part.approval.id] = _Entry(_BEFORE_STEPS)
                if is_allowed(part):
                    self._allowed[part.tool_call_id] = part

    @classmethod
    def resume_from(
        cls, chunks: Iterable[AnyChunk], message_id: str, base: UIMessage | None = None
    ) -> ChunkWriter:
        """Rebuild the writer of a run from all its chunks in the log.

        Raises:
            IllegalChunkError: a `ChunkWriter` did not write them.
        """
        writer = cls(message_id, base)
        for chunk in chunks:
            writer.write(chunk)
        return writer

    @property
    def started(self) -> bool:
        """Whether `start` was written."""
        return self._phase is not Phase.UNSTARTED

    @property
    def ended(self) -> bool:
        """Whether `finish` was written; no chunk is legal after it."""
        return self._phase is Phase.ENDED

    @property
    def waiting(self) -> Collection[WaitingCall]:
        """The calls of this run that have no final result."""
        return self._waiting.calls

    def write(self, chunk: AnyChunk) -> None:
        """Take the run's next chunk.

        Raises:
            IllegalChunkError: it is illegal here; the writer's state is unchanged.
        """
        kind = type(chunk)
        turn = TURNS.get(kind)
        if turn is not None:
            self._turn(chunk, turn)
        elif self._phase is not Phase.RUNNING:
            _refuse(chunk, f"it came {self._phase}")
        for effect, slot, field in MOVES.get(kind, ()):
            key = getattr(chunk, field) if field else ""
            if effect is not Effect.NEEDS:
                self._move(chunk, effect, slot, key)
            elif key not in self._slots[slot]:
                _refuse(chunk, f"there is no {_name(slot, key)}")
        if kind in Waiting.KINDS:
            self._waiting.note(chunk)  # type: ignore[arg-type]
            if kind in _FINAL and chunk.tool_call_id not in self._waiting:  # type: ignore[union-attr]
                self._allowed.pop(chunk.tool_call_id, None)  # type: ignore[union-attr]

    def only_extends(self, chunk: AnyChunk) -> bool:
        """Whether a chunk extends an open text or thought: legal, and no change of the state."""
        if isinstance(chunk, TextDeltaChunk):
            return chunk.id in self._slots[Slot.TEXT]  # empty before the run, and at its end
        return isinstance(chunk, ReasoningDeltaChunk) and chunk.id in self._slots[Slot.REASONING]

    def admit(self, chunk: AnyChunk) -> list[AnyChunk]:
        """Take an agent's next chunk, and return the chunks to send for it.

        Ends that the agent left out come first: the end of a step, or another attempt at it,
        closes its parts. A result gets the flag whether its call is dynamic: ai 5 needs it to
        find the call.

        Raises:
            IllegalChunkError: it is illegal here; the writer's state is unchanged.
        """
        kind = type(chunk)
        if kind not in _COMPLETED:
            self.write(chunk)
            return [chunk]
        chunks: list[AnyChunk] = []
        if kind is ResetStepChunk and self._slots[Slot.STEP]:
            # For clients that do not know `reset-step` and keep these parts.
            chunks += self._closings(CLOSED_AT_THE_END, "the step was begun again")
        elif self._phase is Phase.RUNNING:
            chunks += self._closings(_forbidden_by(kind), "the step ended")
        chunks.append(self._with_kind_of_call(chunk))
        for each in chunks:
            self.write(each)
        return chunks

    def finish(
        self, reason: FinishReason | None = None, metadata: Json | None = None
    ) -> list[AnyChunk]:
        """Write the end of a run that completed, and return its chunks.

        As in every end, `start` is written first if it is missing, and open parts are closed.

        Raises:
            LocalProtocolError: `finish` was written before.
        """
        finish = FinishChunk(
            finish_reason=UNSET if reason is None else reason,
            message_metadata=UNSET if metadata is None else metadata,
        )
        return self._end("the answer ended", [], finish)

    def abort(
        self, reason: str | None = None, cut: CutCall = interrupts_unfinished
    ) -> list[AnyChunk]:
        """Write the end of a run that a person stopped, and return its chunks.

        A `finish` without a reason follows `abort`: clients of some versions wait for one,
        and most do not know `interrupted`.

        Args:
            cut: returns the error of a call without a result; None: it still waits.

        Raises:
            LocalProtocolError: `finish` was written before.
        """
        abort = AbortChunk(reason=UNSET if reason is None else reason)
        return self._end("the run was stopped", [abort], FinishChunk(), cut)

    def fail(
        self,
        error_text: str,
        metadata: Json | None = None,
        cut: CutCall = interrupts_unfinished,
    ) -> list[AnyChunk]:
        """Write the end of a run that failed, and return its chunks.

        Clients read nothing after `error`, so the metadata comes before it.

        Args:
            cut: returns the error of a call without a result; None: it still waits.

        Raises:
            LocalProtocolError: `finish` was written before.
        """
        last: list[AnyChunk] = [ErrorChunk(error_text=error_text)]
        if metadata is not None:
            last.insert(0, MessageMetadataChunk(message_metadata=metadata))
        finish = FinishChunk(finish_reason="error")
        return self._end("the run failed", last, finish, cut)

    def _end(
        self,
        cut_text: str,
        last: list[AnyChunk],
        finish: FinishChunk,
        cut: CutCall = interrupts_unfinished,
    ) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        if self._phase is Phase.ENDED:
            raise LocalProtocolError("unable to end the run; it has its finish")
        if self._phase is Phase.UNSTARTED:
            chunks.append(StartChunk(message_id=self._message_id))
            self._allowed.clear()
        if self._phase is not Phase.ENDING:
            if last:
                chunks += map(_interrupted, self._allowed.values())
                chunks += map(self._with_kind_of_call, self._waiting.ends(cut))
                closings = self._closings(CLOSED_AT_THE_END, cut_text)
                chunks += map(_forget_metadata, closings)
                chunks += last
            else:
                closings = self._closings((*CLOSED_AT_THE_END, Slot.STEP), cut_text)
                if finish.finish_reason == "interrupted":
                    closings = list(map(_forget_metadata, closings))
                chunks += closings
        chunks.append(finish)
        for chunk in chunks:
            self.write(chunk)
        return chunks

    def _closings(self, slots: Iterable[Slot], cut_text: str) -> list[AnyChunk]:
        return [
            _CLOSE[slot](key, entry, cut_text)
            for slot in slots
            for key, entry in self._slots[slot].items()
        ]

    def _with_kind_of_call(self, chunk: AnyChunk) -> AnyChunk:
        if isinstance(chunk, _RESULTS):
            call = self._slots[Slot.CALL].get(chunk.tool_call_id)
            if call is not None and call.dynamic is not (chunk.dynamic is True):
                return msgspec.structs.replace(chunk, dynamic=call.dynamic or UNSET)
        return chunk

    def _turn(self, chunk: AnyChunk, turn: Turn) -> None:
        legal, after = turn
        if self._phase not in legal:
            _refuse(chunk, f"it came {self._phase}")
        for slot in CLOSED_AT_THE_END:
            self._refuse_open(chunk, slot)
        self._phase = after

    def _refuse_open(self, chunk: AnyChunk, slot: Slot) -> None:
        for key in self._slots[slot]:
            _refuse(chunk, f"the {_name(slot, key)} is still open")

    def _move(self, chunk: AnyChunk, effect: Effect, slot: Slot, key: str) -> None:
        there = self._slots[slot]
        if effect is Effect.OPENS and key in there:
            _refuse(chunk, f"the {_name(slot, key)} is open already")
        if effect is Effect.FORBIDS:
            self._refuse_open(chunk, slot)
        if effect in _NEED_OPEN and key not in there:
            _refuse(chunk, f"no {_name(slot, key)} is open")
        match effect:
            case Effect.OPENS:
                there[key] = _Entry(self._step, [chunk])
            case Effect.EXTENDS:
                there[key].chunks.append(chunk)
            case Effect.CLOSES | Effect.DROPS:
                there.pop(key, None)
            case Effect.ADDS:
                self._step += slot is Slot.STEP
                entry = there.setdefault(key, _Entry(self._step))
                entry.dynamic = getattr(chunk, "dynamic", UNSET) is True
            case Effect.CLEARS:
                there.clear()
            case Effect.RESETS:
                for old in [key for key, entry in there.items() if entry.step == self._step]:
                    del there[old]


class _Entry(Struct):
    """An item of the stream.

    Attributes:
        step: the step that added it.
        chunks: of an open item: its chunks so far.
        dynamic: of a call: whether its tool is dynamic.
    """

    step: int
    chunks: list[AnyChunk] = []
    dynamic: bool = False


_BEFORE_STEPS: Final = -1
_NEED_OPEN: Final = (Effect.EXTENDS, Effect.CLOSES)


def _forget_metadata(end: AnyChunk) -> AnyChunk:
    """Remove a cut part's metadata.

    It names the part at the provider, which does not keep unfinished parts: a later request
    with that reference would be refused.
    """
    if isinstance(end, TextEndChunk | ReasoningEndChunk | ToolInputErrorChunk):
        return msgspec.structs.replace(end, provider_metadata=Raw(b"{}"))
    return end


def _name(slot: Slot, key: str) -> str:
    return f'{slot} "{key}"' if key else str(slot)


def _refuse(chunk: AnyChunk, why: str) -> NoReturn:
    kind = chunk.type if isinstance(chunk, OpaqueChunk) else type(chunk).__struct_config__.tag
    raise IllegalChunkError(f"unable to take the chunk {kind}; {why}")


def _interrupted(call: ToolPart) -> ToolOutputErrorChunk:
    """Close an approved call as cut: a call that has begun is never executed again."""
    return ToolOutputErrorChunk(
        tool_call_id=call.tool_call_id,
        error_text=INTERRUPTED_CALL,
        dynamic=call.dynamic or UNSET,
    )


def _text_end(key: str, entry: _Entry, cut_text: str) -> TextEndChunk:
    return TextEndChunk(id=key)


def _reasoning_end(key: str, entry: _Entry, cut_text: str) -> ReasoningEndChunk:
    return ReasoningEndChunk(id=key)


def _input_error(key: str, entry: _Entry, cut_text: str) -> ToolInputErrorChunk:
    """Close an incomplete tool input, with the text that has arrived."""
    start, *deltas = entry.chunks
    assert isinstance(start, ToolInputStartChunk)  # noqa: S101 - it is what opens one
    text = "".join([d.input_text_delta for d in deltas if isinstance(d, ToolInputDeltaChunk)])
    return ToolInputErrorChunk(
        tool_call_id=key,
        tool_name=start.tool_name,
        input=_input_of(text, start.input_encoding),
        error_text=f"The tool call was cut off: {cut_text} before its input was complete.",
        dynamic=start.dynamic,
    )


def _finish_step(key: str, entry: _Entry, cut_text: str) -> FinishStepChunk:
    return FinishStepChunk()


_CLOSE: Final[dict[Slot, Callable[[str, _Entry, str], AnyChunk]]] = {
    Slot.TEXT: _text_end,
    Slot.REASONING: _reasoning_end,
    Slot.INPUT: _input_error,
    Slot.STEP: _finish_step,
}
"""Slot -> the chunk that closes it."""


def _forbidden_by(kind: type[AnyChunk]) -> list[Slot]:
    return [slot for effect, slot, _ in MOVES.get(kind, ()) if effect is Effect.FORBIDS]


_RESULTS: Final = (ToolOutputAvailableChunk, ToolOutputErrorChunk)
_FINAL: Final = frozenset(_RESULTS)
_COMPLETED: Final = frozenset({*filter(_forbidden_by, MOVES), *_RESULTS, ResetStepChunk})
"""Chunks that `admit` completes, because agents leave something out."""


def _input_of(text: str, encoding: str | UnsetType) -> Json:
    """Return a streamed input as JSON: parsed if clients can read it, else as a string."""
    raw = text.encode()
    if encoding != "text":
        with suppress(*UNREADABLE, MalformedFrameError):
            msgspec.json.decode(raw, type=Raw)
            if not is_refused(raw):
                return Raw(one_line(raw))
    return Raw(msgspec.json.encode(text))
