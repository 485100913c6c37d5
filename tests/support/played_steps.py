"""A provider whose steps are written down."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import Room, StepRequest, StepResult, Take


class Step:
    """One step: its chunks, and its result."""

    def __init__(self, chunks: Sequence[AnyChunk], result: StepResult) -> None:
        self.chunks = chunks
        self.result = result

    async def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        for chunk in self.chunks:
            yield [chunk]

    async def pump(self, take: Take, room: Room) -> None:
        async for chunks in self:
            if take(chunks):
                await room()


class PlayedProvider:
    """Plays steps, one after the other.

    Attributes:
        requests: those that came.
        opened: called when the first step is opened.
    """

    name = "played"
    durable = None
    deferring_tools: tuple[str, ...] = ()

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[StepRequest] = []
        self.opened: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[Step]:
        self.requests.append(request)
        if len(self.requests) == 1:
            self.opened()
        yield self.steps.pop(0)

    async def warm_up(self) -> None:
        """There is nothing to import."""

    async def close(self) -> None:
        """Nothing is held."""
