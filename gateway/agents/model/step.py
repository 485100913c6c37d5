"""One step of a configured agent: a call of the model, and the tools that it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.chunks import (
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from midstream.protocol.chunks import AnyChunk, FinishReason
    from midstream.providers.base import PendingCall

EXECUTING: Final = ("stop", "tool-calls", "interrupted")
"""Finish reasons of steps whose calls are executed; of an interrupted one, the calls with a whole
input. Another early end may have cut off further calls."""

UNSTEERED: Final = ("interrupted", "error")
"""Finish reasons of steps after which no message of a person is taken up."""


class ModelStep:
    """A step's calls.

    Attributes:
        number: from 0.
        calls: usable ones, for the gateway or the client.
        executed: number of them with a result.
        refused: number of unusable calls, which the model must be told of.
        cut: the provider broke off, so the step is the last.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: Sequence[PendingCall] = ()
        self.executed = 0
        self.refused = 0
        self.cut = False

    def look_at(self, chunks: Sequence[AnyChunk]) -> None:
        """Count the unusable calls, which the model must be told of."""
        for chunk in chunks:
            if isinstance(chunk, ToolInputErrorChunk) and chunk.provider_executed is not True:
                self.refused += 1

    def may_be_steered(self, reason: FinishReason) -> bool:
        """Whether a person's message may be answered by one more step."""
        return len(self.calls) == self.executed and reason not in UNSTEERED

    def may_be_followed(self, *, owed: bool) -> bool:
        """Whether all calls have results and the model should be called again.

        Args:
            owed: whether the provider still has to answer a call of its own tools.
        """
        if len(self.calls) != self.executed or self.cut:
            return False
        return owed or self.executed + self.refused > 0


class Owed:
    """Results that the provider defers to a later step.

    Args:
        deferring: the names of its tools that do so.
    """

    def __init__(self, deferring: Iterable[str]) -> None:
        self._deferring = frozenset(deferring)
        self._calls: set[str] = set()

    @property
    def any(self) -> bool:
        """Whether a result is still to come."""
        return bool(self._calls)

    def note(self, chunks: Sequence[AnyChunk]) -> None:
        """Track calls and results."""
        for chunk in chunks if self._deferring else ():
            if isinstance(chunk, ToolInputAvailableChunk):
                if chunk.provider_executed is True and chunk.tool_name in self._deferring:
                    self._calls.add(chunk.tool_call_id)
            elif isinstance(chunk, ToolOutputAvailableChunk | ToolOutputErrorChunk):
                self._calls.discard(chunk.tool_call_id)
