"""The legal order of a run's chunks, only as tables; `writer.py` consults them.

Two rules decide which orders the tables forbid. First, those that a client of any version
fails on, or that leave it with half a call: a delta for a part that is not open, a result for
a call whose input the message does not have. Second, those that leave something open after a
run's end. Every other order is legal, also those that the AI SDK only writes when it merges
streams: steps that overlap.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, TypeAlias

from midstream.protocol.chunks import (
    AbortChunk,
    AnyChunk,
    ErrorChunk,
    FinishChunk,
    FinishStepChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)


class Phase(StrEnum):
    """The phase of a run's stream. Chunks without a row in TURNS are legal in RUNNING."""

    UNSTARTED = "before its start"
    RUNNING = "after its start"
    ENDING = "after its abort or error"
    ENDED = "after its finish"


class Slot(StrEnum):
    """A kind of item that a stream holds, each item under a key."""

    TEXT = "text part"
    REASONING = "reasoning part"
    INPUT = "tool input"
    STEP = "step"
    CALL = "tool call with its input"
    APPROVAL = "approval"


class Effect(Enum):
    """The effect of a chunk on the item under its key."""

    OPENS = "it must not be open; then it is"
    NEEDS = "it must be there"
    FORBIDS = "none may be there"
    EXTENDS = "it must be open, and the chunk is a piece of it"
    CLOSES = "it must be open; then it is not"
    ADDS = "it is there then, whether or not it was"
    DROPS = "it is not there then, whether or not it was"
    CLEARS = "none is there then"
    RESETS = "none that the current step brought is there then"


Turn: TypeAlias = tuple[frozenset[Phase], Phase]
Move: TypeAlias = tuple[Effect, Slot, str]
"""The effect, the kind of item, and the chunk's field that holds the key (empty: no key)."""

TURNS: Final[dict[type[AnyChunk], Turn]] = {
    StartChunk: (frozenset({Phase.UNSTARTED}), Phase.RUNNING),
    AbortChunk: (frozenset({Phase.RUNNING}), Phase.ENDING),
    ErrorChunk: (frozenset({Phase.RUNNING}), Phase.ENDING),
    FinishChunk: (frozenset({Phase.RUNNING, Phase.ENDING}), Phase.ENDED),
}
"""Chunk -> the phases in which it is legal, and the phase after it."""

CLOSED_AT_THE_END: Final = (Slot.TEXT, Slot.REASONING, Slot.INPUT)
"""Items that must be closed before an abort, error or finish, in the order of closing.

A step that was cut short gets no `finish-step`, because it did not finish.
"""

MOVES: Final[dict[type[AnyChunk], tuple[Move, ...]]] = {
    # Clients search only the current step, so an input left streaming would never end.
    StartStepChunk: ((Effect.FORBIDS, Slot.INPUT, ""), (Effect.ADDS, Slot.STEP, "")),
    # Clients before 7 forget open parts there: a later end of one would be an error to them.
    FinishStepChunk: (
        (Effect.FORBIDS, Slot.TEXT, ""),
        (Effect.FORBIDS, Slot.REASONING, ""),
        (Effect.DROPS, Slot.STEP, ""),
    ),
    ResetStepChunk: (
        (Effect.NEEDS, Slot.STEP, ""),
        (Effect.CLEARS, Slot.TEXT, ""),
        (Effect.CLEARS, Slot.REASONING, ""),
        (Effect.CLEARS, Slot.INPUT, ""),
        (Effect.RESETS, Slot.CALL, ""),
        (Effect.RESETS, Slot.APPROVAL, ""),
    ),
    TextStartChunk: ((Effect.OPENS, Slot.TEXT, "id"),),
    TextDeltaChunk: ((Effect.NEEDS, Slot.TEXT, "id"),),
    TextEndChunk: ((Effect.CLOSES, Slot.TEXT, "id"),),
    ReasoningStartChunk: ((Effect.OPENS, Slot.REASONING, "id"),),
    ReasoningDeltaChunk: ((Effect.NEEDS, Slot.REASONING, "id"),),
    ReasoningEndChunk: ((Effect.CLOSES, Slot.REASONING, "id"),),
    ToolInputStartChunk: (
        (Effect.OPENS, Slot.INPUT, "tool_call_id"),
        (Effect.DROPS, Slot.CALL, "tool_call_id"),
    ),
    ToolInputDeltaChunk: ((Effect.EXTENDS, Slot.INPUT, "tool_call_id"),),
    ToolInputAvailableChunk: (
        (Effect.DROPS, Slot.INPUT, "tool_call_id"),
        (Effect.ADDS, Slot.CALL, "tool_call_id"),
    ),
    ToolInputErrorChunk: (
        (Effect.DROPS, Slot.INPUT, "tool_call_id"),
        (Effect.ADDS, Slot.CALL, "tool_call_id"),
    ),
    ToolApprovalRequestChunk: (
        (Effect.NEEDS, Slot.CALL, "tool_call_id"),
        (Effect.ADDS, Slot.APPROVAL, "approval_id"),
    ),
    ToolApprovalResponseChunk: ((Effect.NEEDS, Slot.APPROVAL, "approval_id"),),
    ToolOutputAvailableChunk: ((Effect.NEEDS, Slot.CALL, "tool_call_id"),),
    ToolOutputErrorChunk: ((Effect.NEEDS, Slot.CALL, "tool_call_id"),),
    ToolOutputDeniedChunk: ((Effect.NEEDS, Slot.CALL, "tool_call_id"),),
}
"""Chunk -> its effects, in order; in each row those that can be refused come first."""
