"""Tool calls without a result, and their errors when their run is cut."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, get_args

from msgspec import UNSET, Struct

from midstream.protocol.chunks import (
    FinishStepChunk,
    ResetStepChunk,
    StartStepChunk,
    ToolApprovalRequestChunk,
    ToolInputAvailableChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED_CALL: Final = (
    "The tool had begun, and was interrupted before it answered. It may have taken effect."
)
"""For people and for the model's next request: the call may have taken effect."""

UNCALLED: Final = "The tool was not called: the answer was cut off before that."

CUT_TEXTS: Final = frozenset({INTERRUPTED_CALL, UNCALLED})


class WaitingCall(Struct, kw_only=True):
    """A call with a complete input, without a result and without an approval request.

    Attributes:
        provider_executed: the provider executes it.
        unfinished: its step has not ended.
    """

    id: str
    name: str
    provider_executed: bool
    unfinished: bool = True


CutCall: TypeAlias = Callable[[WaitingCall], str | None]
"""Returns the error text of a call that its run leaves; None if the call still waits."""


def interrupts_unfinished(call: WaitingCall) -> str | None:
    """Decide over a call without knowing who executes it.

    An agent or a provider writes the result of a call that it executes before the step ends.
    A call that has none by then waits for the client.
    """
    return INTERRUPTED_CALL if call.unfinished and not call.provider_executed else None


_Noted: TypeAlias = (
    ToolInputStartChunk
    | ToolInputAvailableChunk
    | ToolApprovalRequestChunk
    | ToolOutputAvailableChunk
    | ToolOutputDeniedChunk
    | ToolOutputErrorChunk
    | StartStepChunk
    | FinishStepChunk
    | ResetStepChunk
)


class Waiting:
    """The calls of a run that have no final result, in order."""

    __slots__ = ("_calls",)

    KINDS: ClassVar = frozenset(get_args(_Noted))
    """The types of chunks that `note` takes."""

    def __init__(self) -> None:
        self._calls: dict[str, WaitingCall] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    @property
    def calls(self) -> Collection[WaitingCall]:
        """The calls, in order."""
        return self._calls.values()

    def note(self, chunk: _Noted) -> None:
        """Note a chunk that was written."""
        match chunk:
            case ToolInputAvailableChunk():
                self._calls[chunk.tool_call_id] = WaitingCall(
                    id=chunk.tool_call_id,
                    name=chunk.tool_name,
                    provider_executed=chunk.provider_executed is True,
                )
            case ToolOutputAvailableChunk(preliminary=True):
                pass
            case FinishStepChunk() | StartStepChunk():
                for call in self._calls.values():
                    call.unfinished = False
            case ResetStepChunk():
                self._calls = {
                    id_: call for id_, call in self._calls.items() if not call.unfinished
                }
            case _:  # answered, asked about, or begun again: its input is not complete any more
                self._calls.pop(chunk.tool_call_id, None)

    def ends(self, cut: CutCall) -> Iterator[ToolOutputErrorChunk]:
        """Yield the errors that close the calls that a cut run leaves."""
        for call in self._calls.values():
            text = cut(call)
            if text is not None:
                yield ToolOutputErrorChunk(
                    tool_call_id=call.id,
                    error_text=text,
                    provider_executed=True if call.provider_executed else UNSET,
                )
