"""Decides which of an agent's chunks begin a step that the agent has not opened itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    OpaqueChunk,
    ResetStepChunk,
    StartStepChunk,
    ToolApprovalResponseChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.messages import ToolPart

if TYPE_CHECKING:
    from collections.abc import Container

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage

_OF_NO_STEP: Final = (
    StartStepChunk,
    FinishStepChunk,
    ResetStepChunk,
    MessageMetadataChunk,
    ErrorChunk,
    AbortChunk,
    ToolApprovalResponseChunk,
    ToolInputDeltaChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
    ToolOutputDeniedChunk,
)
"""Chunks that open no step: a result may arrive in a later run than its call."""

_INPUTS: Final = (ToolInputStartChunk, ToolInputAvailableChunk, ToolInputErrorChunk)


def opens_step(chunk: AnyChunk, earlier_calls: Container[str]) -> bool:
    """Whether a chunk outside of any step begins one.

    It does not if it names a call of an earlier run of the message, for example an approved
    one: in a new step it would be another call.
    """
    if isinstance(chunk, _INPUTS) and chunk.tool_call_id in earlier_calls:
        return False
    return belongs_in_step(chunk)


def belongs_in_step(chunk: AnyChunk) -> bool:
    """Whether a chunk belongs in a step: the next one, if the current one is complete."""
    return not (
        isinstance(chunk, _OF_NO_STEP) or (isinstance(chunk, OpaqueChunk) and chunk.transient)
    )


def calls_of(base: UIMessage | None) -> frozenset[str]:
    """Return the ids of a message's calls."""
    parts = () if base is None else base.readable_parts()
    return frozenset(part.tool_call_id for part in parts if isinstance(part, ToolPart))
