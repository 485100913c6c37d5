"""The messages that a model agent's run takes up between its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import SteeringMessageChunk
from midstream.protocol.steering import steering_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.base import AgentRequest, Interrupted
    from midstream.protocol.chunks import AnyChunk


class StepSteers:
    """What a run takes up before its next step.

    Args:
        interrupted: the state that another process left. The messages that it had taken up after
            the last point are taken up again, as the log has them.

    Attributes:
        any_taken: whether the run has taken one up.
    """

    def __init__(self, request: AgentRequest, interrupted: Interrupted | None) -> None:
        chunks = () if interrupted is None else interrupted.chunks
        held = () if interrupted is None else interrupted.held
        self._held = [each for each in held if isinstance(each, SteeringMessageChunk)]
        self._steering = request.steering
        self.any_taken = any(isinstance(each, SteeringMessageChunk) for each in chunks)

    @property
    def wait(self) -> bool:
        """Whether there may be messages for the next step."""
        return bool(self._held) or (self._steering is not None and self._steering.waits)

    async def take(self, step: int) -> Sequence[SteeringMessageChunk]:
        """Return the chunks of the messages for a step; `confirm` once they have been yielded."""
        chunks, self._held = self._held, []
        if self._steering is not None and self._steering.waits:
            chunks += map(steering_chunk, await self._steering.take(step))
        self.any_taken = self.any_taken or bool(chunks)
        return chunks

    async def confirm(self, taken: Sequence[AnyChunk]) -> None:
        """Note that the log will have these chunks of messages."""
        if self._steering is not None:
            ids = [each.id for each in taken if isinstance(each, SteeringMessageChunk)]
            await self._steering.confirm(ids)

    async def message_so_far(self, message_id: str) -> Assembler:
        """Return the run's message, for a run that has not kept it: no step was to follow."""
        told = None if self._steering is None else await self._steering.told()
        return Assembler(message_id, told)

    def end(self, reason: str) -> None:
        """Say why what waits cannot be delivered any more."""
        if self._steering is not None:
            self._steering.undelivered = reason
