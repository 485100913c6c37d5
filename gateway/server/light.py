"""Lighter parts for uvicorn's connection: what it makes for each costs 760 bytes or more a piece.

A `deque` takes 64 places at once, and `asyncio.Event` has one. A gateway has thousands of idle
connections, and most of their events are awaited by one task or by none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import FlowControl

from midstream.aio.pulse import Pulse

if TYPE_CHECKING:
    import asyncio


class LightEvent(Pulse):
    """An `asyncio.Event` in the size of a list."""

    __slots__ = ("_set",)

    def __init__(self, *, is_set: bool = False) -> None:
        super().__init__()
        self._set = is_set

    def is_set(self) -> bool:
        """Whether `wait` returns at once."""
        return self._set

    def set(self) -> None:
        """Wake all that wait."""
        self._set = True
        self.send()

    def clear(self) -> None:
        """Let the next `wait` wait."""
        self._set = False

    async def wait(self) -> bool:  # type: ignore[override]
        """Return once it is set, or was for a moment."""
        if not self._set:
            await super().wait()
        return True


class LightFlow(FlowControl):
    """uvicorn's flow control with a light event."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._is_writable_event = LightEvent(is_set=True)  # type: ignore[assignment]


class Pipeline(list[Any]):
    """A queue of pipelined requests: `appendleft` and `pop`, as of a deque."""

    __slots__ = ()

    def appendleft(self, request: Any) -> None:
        """Add the newest."""
        self.insert(0, request)
