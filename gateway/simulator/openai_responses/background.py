"""Responses in the background: generated with or without a reader.

A reader is a connection that follows one response from an event on: first the stored events, then
the new ones. Any number may read, one after the other or side by side.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from midstream.simulator.player import Player
from midstream.simulator.wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from midstream.simulator.directives import AnswerScript
    from midstream.simulator.failures import RequestError
    from midstream.simulator.holds import AnswerHolds
    from midstream.simulator.player import Clock, Ending, ErrorEvent
    from midstream.simulator.wire import FramedEvent

_KEPT = 500
# Incidents that end a connection, not the response that it carries.
_OF_CONNECTIONS = ("cut", "eof")


class BackgroundResponse:
    """One response: its events so far, and the task that makes more.

    Args:
        script: how it is played. A cut of it happens once, to the first connection that
            carries the delta which it names.
        current: returns the response's object as of the events taken so far.
    """

    def __init__(
        self,
        response_id: str,
        script: AnswerScript,
        clock: Clock,
        holds: AnswerHolds,
        current: Callable[[], dict[str, object]],
    ) -> None:
        self.id = response_id
        self.cancelled = False
        cuts = [incident for incident in script.incidents if incident.kind in _OF_CONNECTIONS]
        self._cuts = sorted(cuts, key=lambda incident: incident.after)
        own = tuple(i for i in script.incidents if i.kind not in _OF_CONNECTIONS)
        self._player = Player(replace(script, incidents=own), clock, self._take, holds)
        self._current = current
        self._frames: list[bytes] = []
        self._failed = False
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, events: Iterator[FramedEvent], error_event: ErrorEvent) -> None:
        """Start to generate."""
        self._task = asyncio.create_task(
            self._generate(events, error_event), name=f"response {self.id}"
        )

    @property
    def ended(self) -> bool:
        """Whether no more events will come."""
        return self._task is not None and self._task.done()

    def body(self) -> bytes:
        """Return the response's object as it is now."""
        response = self._current()
        if self.cancelled:
            response = {**response, "status": "cancelled"}
        elif self._failed:
            response = {**response, "status": "failed"}
        elif not self._frames:
            response = {**response, "status": "queued"}
        return encode_json(response)

    def cancel(self) -> None:
        """Stop generating; a response that has ended stays as it is."""
        if self._task is not None and not self._task.done():
            self.cancelled = True
            self._task.cancel()

    async def wait(self) -> None:
        """Wait until no more events will come."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def follow(self, after: int, emit: Callable[[list[bytes]], Awaitable[None]]) -> Ending:
        """Send the framed events after a sequence number, to the last or to a cut."""
        at = after + 1
        deltas = sum(map(is_delta, self._frames[:at]))
        while True:
            if at < len(self._frames):
                frames = self._frames[at:]
                if self._cuts:
                    frames, cut = self._until_cut(frames, deltas)
                    if cut is not None:
                        await emit(frames)
                        return cut
                deltas += sum(map(is_delta, frames))
                at += len(frames)
                await emit(frames)
            elif self.ended:
                return "completed"
            else:
                await self._grown.wait()

    def _until_cut(self, frames: list[bytes], deltas: int) -> tuple[list[bytes], Ending | None]:
        """Return how much a connection gets, and how it ends if it does."""
        for index, frame in enumerate(frames):
            deltas += is_delta(frame)
            if is_delta(frame) and deltas >= self._cuts[0].after:
                cut = self._cuts.pop(0)
                return frames[: index + 1], "cut" if cut.kind == "cut" else "completed"
        return frames, None

    async def _generate(self, events: Iterator[FramedEvent], error_event: ErrorEvent) -> None:
        def failed(error: RequestError, sequence: int) -> bytes:
            self._failed = True
            return error_event(error, sequence)

        try:
            await self._player.play(events, failed)
        finally:
            # Waiters must find the task done; it is, one turn of the loop later.
            asyncio.get_running_loop().call_soon(self._tell)

    async def _take(self, frames: list[bytes]) -> None:
        self._frames += frames
        self._tell()

    def _tell(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


class BackgroundResponses:
    """The latest of them by id; the oldest is ended and forgotten first."""

    def __init__(self, limit: int = _KEPT) -> None:
        self._limit = limit
        self._responses: OrderedDict[str, BackgroundResponse] = OrderedDict()

    def put(self, response: BackgroundResponse) -> None:
        """Keep a response."""
        self._responses[response.id] = response
        while len(self._responses) > self._limit:
            _, oldest = self._responses.popitem(last=False)
            oldest.cancel()

    def find(self, response_id: str) -> BackgroundResponse | None:
        """Return a response, or None."""
        return self._responses.get(response_id)

    async def close(self) -> None:
        """End all that is generated."""
        for response in self._responses.values():
            response.cancel()
        for response in self._responses.values():
            await response.wait()


def is_delta(frame: bytes) -> bool:
    """Return whether a framed event carries a piece of the answer."""
    return frame.partition(b"\n")[0].endswith(b".delta")
