"""Playing an answer: its events at their pace, and what happens to it on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Literal, Protocol

from midstream.simulator.failures import RequestError
from midstream.simulator.words.prose import Dice

if TYPE_CHECKING:
    from midstream.simulator.directives import AnswerScript, Incident
    from midstream.simulator.holds import AnswerHolds
    from midstream.simulator.wire import FramedEvent

Ending = Literal["completed", "cut"]

# A write costs about as much as encoding a hundred events: at full speed they share one.
_BATCH_BYTES = 16 * 1024
# Sleeps shorter than this are not worth a timer; the pace is kept by the schedule.
_SHORTEST_SLEEP_S = 0.002

_MALFORMED = b'event: message\ndata: {"type": "malformed", "text": \n\n'

# Frames the provider's error event, given the number of events before it.
ErrorEvent = Callable[[RequestError, int], bytes]
Emit = Callable[[list[bytes]], Awaitable[None]]


class Clock(Protocol):
    """Time, so that a test can have its own."""

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def unix_time(self) -> float:
        """Return seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; with 0, let others run."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def unix_time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; with 0, let others run."""
        await asyncio.sleep(seconds)


class Player:
    """Plays one answer to `emit`, which gets framed events, one list a write.

    A delta comes when its time has come: `1 / rate` after the one before it, up to a fifth
    more or less. The schedule is kept whatever the writes take. With `rate` 0 events are
    written as fast as they are taken, many at a time.
    """

    def __init__(self, script: AnswerScript, clock: Clock, emit: Emit, holds: AnswerHolds) -> None:
        self._script = script
        self._clock = clock
        self._emit = emit
        self._holds = holds
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._incidents = sorted(script.incidents, key=lambda incident: incident.after)
        self._deltas = 0
        self._events = 0
        self._due_s = 0.0

    async def play(self, events: Iterator[FramedEvent], error_event: ErrorEvent) -> Ending:
        """Play to the end, or to the incident that ends it."""
        dice = Dice("jitter")
        interval_s = 1 / self._script.rate if self._script.rate else 0.0
        self._due_s = self._clock.now()
        started = False
        for event in events:
            if event.delta and not started:
                started = True
                await self._pause(self._script.first_s)
                if (ending := await self._meet_incidents(error_event)) is not None:
                    return ending
            if event.delta and interval_s:
                self._due_s += interval_s * (0.8 + dice.below(41) / 100)
                await self._wait_until_due()
            if event.frame:
                await self._write(event.frame)
            if event.delta:
                self._deltas += 1
                if self._incidents and (
                    (ending := await self._meet_incidents(error_event)) is not None
                ):
                    return ending
        await self._flush()
        return "completed"

    async def _meet_incidents(self, error_event: ErrorEvent) -> Ending | None:
        while self._incidents and self._incidents[0].after <= self._deltas:
            ending = await self._meet(self._incidents.pop(0), error_event)
            if ending is not None:
                return ending
        return None

    async def _meet(self, incident: Incident, error_event: ErrorEvent) -> Ending | None:
        match incident.kind:
            case "stall":
                await self._pause(incident.duration_s)
                return None
            case "hold":
                await self._flush()
                await self._holds.wait(incident.name)
                self._due_s = self._clock.now()
                return None
            case "malformed":
                await self._write(_MALFORMED)
                return None
            case "error":
                await self._write(error_event(RequestError(incident.name), self._events))
                await self._flush()
                return "completed"
            case "eof":
                await self._flush()
                return "completed"
            case "cut":
                await self._flush()
                return "cut"

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await self._flush()
            await self._clock.sleep(seconds)
            self._due_s = self._clock.now()

    async def _wait_until_due(self) -> None:
        wait_s = self._due_s - self._clock.now()
        if wait_s >= _SHORTEST_SLEEP_S:
            await self._flush()
            await self._clock.sleep(wait_s)

    async def _write(self, frame: bytes) -> None:
        self._batch.append(frame)
        self._events += 1
        self._batch_bytes += len(frame)
        if self._batch_bytes >= _BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if self._batch:
            batch, self._batch, self._batch_bytes = self._batch, [], 0
            await self._emit(batch)
            await self._clock.sleep(0)
