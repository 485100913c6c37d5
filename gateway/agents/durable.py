"""Agents whose runs outlive the process that produces them.

Such an agent remembers, as it goes, where its run is. If the process dies, another one takes
the run over and asks its own agent of the same name to go on: from the last point that was
remembered, saying again, chunk by chunk, what the log holds after it, and then the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from midstream.protocol.chunks import AnyChunk


class Interrupted(Struct, frozen=True, kw_only=True):
    """What a process that died left of a run.

    Attributes:
        chunks: all that the log holds of the run, oldest first; `start` is the first.
        next: the sequence at which the last remembered point was true: what `chunks` holds
            from there on is to be said again.
        point: what the agent remembered there; empty if it had not come to that.
    """

    chunks: Sequence[AnyChunk]
    next: int
    point: bytes

    @property
    def held(self) -> Sequence[AnyChunk]:
        """What the log holds from the point on."""
        return self.chunks[self.next :]


class RunMemory(Protocol):
    """What outlives the process that produces a run."""

    @property
    def interrupted(self) -> Interrupted | None:
        """What another process left; None for a run that begins here."""
        ...

    @property
    def next(self) -> int:
        """The sequence of the next chunk that the agent yields."""
        ...

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        """Keep `point`, once everything yielded so far is in the log.

        Args:
            required: wait for as long as a run may wait for Redis. Otherwise it is left out
                when Redis does not answer soon.

        Raises:
            StoreUnavailableError: it was required, and Redis stayed away.
        """
        ...


class DurableRuns(Protocol):
    """The ability of an agent to go on with a run in another process. See `AgentTraits`.

    Its `stream` then yields what comes after `request.memory.interrupted.next`, if that is set.
    """

    def can_go_on(self, interrupted: Interrupted) -> bool:
        """Whether this run can be gone on with exactly; otherwise it is closed."""
        ...

    async def abandon(self, point: bytes) -> None:
        """Release what a run holds elsewhere that has come to `point` and will not go on.

        Bounded in time; never fails.
        """
        ...
