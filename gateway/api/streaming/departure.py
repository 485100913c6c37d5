"""The departure of a client: it ends the block that writes to it.

uvicorn's `send` does not report it. `receive` does, and that takes a task; an idle stream has none
of its own for it where the server's cycle can be watched (`direct_write.py`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from midstream.api.streaming.direct_write import watch_cycle

if TYPE_CHECKING:
    from types import TracebackType

    from litestar.types import Receive


class DepartedError(Exception):
    """The client has left before the end."""


class Departure:
    """`with Departure(receive): ...`, in one task.

    Raises (from the block):
        DepartedError: the client has left, and the block was cancelled.
    """

    __slots__ = ("_cancelling", "_has_departed", "_may_depart", "_receive", "_task", "_watch")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_departed = self._may_depart = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._watch = watch_cycle(self._receive, self._departed) or asyncio.create_task(
            self._until_departed(), name="watch-client"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._watch.cancel()
        del self._watch  # it refers back to this, and a collection would be needed for both
        if self._task is None or not self._has_departed:
            return
        # As `asyncio.timeout`: another's cancellation, at the same time, goes first.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DepartedError from error

    def allow(self) -> None:
        """Let the client leave: the response is complete."""
        self._may_depart = True

    async def _until_departed(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._departed()

    def _departed(self) -> None:
        if not (self._may_depart or self._has_departed) and self._task is not None:
            self._has_departed = True
            self._task.cancel()
