"""The demo's kill of the process that writes an answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio import to_thread
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.ids import RunId
    from midstream.live_demo.process_map import ProcessMap

DYING_DELAY_S: Final = 0.1
"""Delay before a process kills itself, so that its response leaves."""

DEATH_LIMIT_S: Final = 2.0
"""Time for a process to end after SIGKILL: the kernel frees its memory first."""
DEATH_TICK_S: Final = 0.01


class Killing:
    """The death of a worker, and the withdrawal of its tabs from presence.

    The process that kills may be killed meanwhile, by another visitor: the next kill finishes
    its work.

    Args:
        withdraw_presence: of the sessions: withdraws the tabs of a process.
    """

    def __init__(
        self,
        withdraw_presence: Callable[[int], Awaitable[None]],
        process_map: ProcessMap,
        run_id: RunId,
        pid: int,
    ) -> None:
        self._withdraw_presence = withdraw_presence
        self._process_map = process_map
        self._run_id = run_id
        self._pid = pid

    async def go_later(self) -> None:
        """Kill this process, once its response has left."""
        await asyncio.sleep(DYING_DELAY_S)
        await to_thread(self._process_map.note_death, self._pid)
        with contextlib.suppress(StoreUnavailableError):
            await self._withdraw_presence(self._pid)
        os.kill(self._pid, signal.SIGKILL)

    async def go(self) -> None:
        """Kill another process, wait until it is dead, and withdraw its tabs."""
        await to_thread(self._process_map.note_death, self._pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEATH_LIMIT_S):
                while await self._is_at_work():  # noqa: ASYNC110 - no event: another's child
                    await asyncio.sleep(DEATH_TICK_S)
        with contextlib.suppress(StoreUnavailableError):
            for dead in await to_thread(self._process_map.deaths):
                await self._withdraw_presence(dead)
                await to_thread(self._process_map.forget_death, dead)

    async def _is_at_work(self) -> bool:
        return await to_thread(self._process_map.find, self._run_id) == self._pid
