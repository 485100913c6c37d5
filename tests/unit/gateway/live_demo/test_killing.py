"""Visitors who kill the workers that write their answers, and each other's."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from midstream.ids import RunId
from midstream.live_demo.killing import Killing
from midstream.live_demo.process_map import ProcessMap

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.anyio
async def test_who_kills_does_what_a_killed_killer_has_left(tmp_path: Path) -> None:
    """Two visitors within a second: tabs that were connected to the first victim are no more
    counted, though the worker that killed it is the second one."""
    process_map, withdrawn = ProcessMap(tmp_path), set()

    async def withdraw(pid: int) -> None:
        withdrawn.add(pid)

    first = 4_194_305  # beyond what a kernel gives
    await asyncio.to_thread(process_map.note_death, first)
    process = await asyncio.create_subprocess_exec("sleep", "60")
    await Killing(withdraw, process_map, RunId("run_1"), process.pid).go()

    assert await process.wait() == -signal.SIGKILL
    assert withdrawn == {first, process.pid}
    assert await asyncio.to_thread(process_map.deaths) == []
