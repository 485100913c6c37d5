"""One step of a configured agent: a call of the model, and the tools that it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.chunks import ToolInputErrorChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import PendingCall

EXECUTING: Final = ("stop", "tool-calls", "interrupted")
"""Finish reasons of steps whose calls are executed; of an interrupted one, the calls with a whole
input. Another early end may have cut off further calls."""


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

    def may_be_followed(self, *, owed: bool) -> bool:
        """Whether all calls have results and the model should be called again.

        Args:
            owed: whether the provider still has to answer a call of its own tools.
        """
        if len(self.calls) != self.executed or self.cut:
            return False
        return owed or self.executed + self.refused > 0
