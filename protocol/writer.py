"""One run's order of chunks: what may come next, and what an end has to close."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct

from protocol.chunks import (
    AbortChunk,
    AnyChunk,
    ErrorChunk,
    FinishChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningEndChunk,
    StartChunk,
    TextEndChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
)
from protocol.codec import UNREADABLE, one_line
from protocol.errors import IllegalChunkError, LocalProtocolError
from protocol.grammar import CLOSED_AT_THE_END, MOVES, TURNS, Phase, Thing, Verb
from protocol.messages import ToolPart, parse_part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import UnsetType

    from protocol.chunks import FinishReason, Json
    from protocol.grammar import Turn
    from protocol.messages import UIMessage


class ChunkWriter:
    """Follows the chunks of one run, and writes its end.

    Args:
        message_id: the message that the run writes.
        base: for a run that continues a message, that message as it was before: its tool
            calls may get their results now.
    """

    __slots__ = ("_message_id", "_phase", "_step", "_things")

    def __init__(self, message_id: str, base: UIMessage | None = None) -> None:
        self._message_id = message_id
        self._phase = Phase.UNSTARTED
        self._step = 0
        self._things: dict[Thing, dict[str, _Entry]] = {thing: {} for thing in Thing}
        for part in () if base is None else map(parse_part, base.parts):
            if isinstance(part, ToolPart):
                self._things[Thing.CALL][part.tool_call_id] = _Entry(_BEFORE_STEPS, [])
                if part.approval is not UNSET:
                    self._things[Thing.APPROVAL][part.approval.id] = _Entry(_BEFORE_STEPS, [])

    @classmethod
    def resume_from(
        cls, chunks: Iterable[AnyChunk], message_id: str, base: UIMessage | None = None
    ) -> ChunkWriter:
        """Rebuild the writer of a run from all the chunks that its log holds.

        Raises:
            IllegalChunkError: they were not written by a `ChunkWriter`.
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
        """Whether `finish` was written; nothing is legal after it."""
        return self._phase is Phase.ENDED

    def write(self, chunk: AnyChunk) -> None:
        """Take the run's next chunk.

        Raises:
            IllegalChunkError: it is not allowed here, and is as if it had not been written.
        """
        kind = type(chunk)
        turn = TURNS.get(kind)
        if turn is not None:
            self._turn(chunk, turn)
        elif self._phase is not Phase.RUNNING:
            _refuse(chunk, f"it came {self._phase}")
        for verb, thing, field in MOVES.get(kind, ()):
            key = getattr(chunk, field) if field else ""
            if verb is not Verb.NEEDS:
                self._move(chunk, verb, thing, key)
            elif key not in self._things[thing]:
                _refuse(chunk, f"there is no {_name(thing, key)}")

    def finish(
        self, reason: FinishReason | None = None, metadata: Json | None = None
    ) -> list[AnyChunk]:
        """Write the end of a run that went well, and return its chunks.

        What is open is closed first, as in every end; `start` comes before that if it was
        never written.

        Raises:
            LocalProtocolError: the run has its finish.
        """
        finish = FinishChunk(
            finish_reason=UNSET if reason is None else reason,
            message_metadata=UNSET if metadata is None else metadata,
        )
        return self._end("the answer ended before its input was complete", [], finish)

    def abort(self, reason: str | None = None) -> list[AnyChunk]:
        """Write the end of a run that a person stopped, and return its chunks.

        After its `abort` stands a `finish` without a reason: clients of some versions wait
        for one, and `interrupted` is unknown to most.

        Raises:
            LocalProtocolError: the run has its finish.
        """
        abort = AbortChunk(reason=UNSET if reason is None else reason)
        return self._end(
            "the run was stopped before its input was complete", [abort], FinishChunk()
        )

    def fail(self, error_text: str, metadata: Json | None = None) -> list[AnyChunk]:
        """Write the end of a run that failed, and return its chunks.

        Clients read nothing after `error`, so the metadata comes before it.

        Raises:
            LocalProtocolError: the run has its finish.
        """
        last: list[AnyChunk] = [ErrorChunk(error_text=error_text)]
        if metadata is not None:
            last.insert(0, MessageMetadataChunk(message_metadata=metadata))
        finish = FinishChunk(finish_reason="error")
        return self._end("the run failed before its input was complete", last, finish)

    def _end(self, cut_text: str, last: list[AnyChunk], finish: FinishChunk) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        if self._phase is Phase.ENDED:
            raise LocalProtocolError("unable to end the run; it has its finish")
        if self._phase is Phase.UNSTARTED:
            chunks.append(StartChunk(message_id=self._message_id))
        if self._phase is not Phase.ENDING:
            chunks += self._closings(cut_text)
            chunks += last
        chunks.append(finish)
        for chunk in chunks:
            self.write(chunk)
        return chunks

    def _closings(self, cut_text: str) -> list[AnyChunk]:
        open_things = self._things
        inputs = open_things[Thing.INPUT].values()
        return [
            *(TextEndChunk(id=key) for key in open_things[Thing.TEXT]),
            *(ReasoningEndChunk(id=key) for key in open_things[Thing.REASONING]),
            *(_input_error(entry.chunks, cut_text) for entry in inputs),
            *(FinishStepChunk() for _ in open_things[Thing.STEP]),
        ]

    def _turn(self, chunk: AnyChunk, turn: Turn) -> None:
        legal, after = turn
        if self._phase not in legal:
            _refuse(chunk, f"it came {self._phase}")
        for thing in CLOSED_AT_THE_END:
            for key in self._things[thing]:
                _refuse(chunk, f"the {_name(thing, key)} is still open")
        self._phase = after

    def _move(self, chunk: AnyChunk, verb: Verb, thing: Thing, key: str) -> None:
        there = self._things[thing]
        if verb is Verb.OPENS and key in there:
            _refuse(chunk, f"the {_name(thing, key)} is open already")
        if verb in _NEED_OPEN and key not in there:
            _refuse(chunk, f"no {_name(thing, key)} is open")
        match verb:
            case Verb.OPENS:
                there[key] = _Entry(self._step, [chunk])
            case Verb.EXTENDS:
                there[key].chunks.append(chunk)
            case Verb.CLOSES | Verb.DROPS:
                there.pop(key, None)
            case Verb.ADDS:
                self._step += thing is Thing.STEP
                there.setdefault(key, _Entry(self._step, []))
            case Verb.CLEARS:
                there.clear()
            case _:
                for old in [key for key, entry in there.items() if entry.step == self._step]:
                    del there[old]


class _Entry(Struct):
    """A thing that is there: the step that brought it, and for what is open its chunks."""

    step: int
    chunks: list[AnyChunk]


_BEFORE_STEPS: Final = -1
_NEED_OPEN: Final = (Verb.EXTENDS, Verb.CLOSES)


def _name(thing: Thing, key: str) -> str:
    return f'{thing} "{key}"' if key else str(thing)


def _refuse(chunk: AnyChunk, why: str) -> NoReturn:
    kind = chunk.type if isinstance(chunk, OpaqueChunk) else type(chunk).__struct_config__.tag
    raise IllegalChunkError(f"unable to take the chunk {kind}; {why}")


def _input_error(opening: list[AnyChunk], why: str) -> ToolInputErrorChunk:
    """Close a tool input that will not be complete, with what arrived of it."""
    start, *deltas = opening
    assert isinstance(start, ToolInputStartChunk)  # noqa: S101 - OPENS stored it
    text = "".join([d.input_text_delta for d in deltas if isinstance(d, ToolInputDeltaChunk)])
    return ToolInputErrorChunk(
        tool_call_id=start.tool_call_id,
        tool_name=start.tool_name,
        input=_input_of(text, start.input_encoding),
        error_text=f"The tool call was cut off: {why}.",
        dynamic=start.dynamic,
    )


def _input_of(text: str, encoding: str | UnsetType) -> Json:
    """Return a streamed input as JSON: parsed if it is, else its text as a string."""
    raw = text.encode()
    if encoding != "text":
        with suppress(*UNREADABLE):
            msgspec.json.decode(raw, type=Raw)
            return Raw(one_line(raw))
    return Raw(msgspec.json.encode(text))
