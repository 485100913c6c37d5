"""The process that produces a run: known while it lives, and no longer."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from midstream.ids import RunId
from midstream.live_demo.process_map import ProcessMap

if TYPE_CHECKING:
    from pathlib import Path

RUN = RunId("run_1")


@pytest.mark.anyio
async def test_sibling_finds_the_process_of_a_run(tmp_path: Path) -> None:
    """While the run is produced, whoever shares the folder learns by which process."""
    async with ProcessMap(tmp_path / "demo").here(RUN):
        found = await asyncio.to_thread(ProcessMap(tmp_path / "demo").find, RUN)
        assert found == os.getpid()


@pytest.mark.anyio
async def test_sibling_finds_nobody_once_the_run_is_over(tmp_path: Path) -> None:
    """A run that has ended has no process."""
    async with ProcessMap(tmp_path).here(RUN):
        pass
    assert await asyncio.to_thread(ProcessMap(tmp_path).find, RUN) is None


def test_sibling_learns_who_died_of_a_run(tmp_path: Path) -> None:
    """Without its lock, a file names the dead: its number may be another program's by now."""
    for pid in (300, 20):
        (tmp_path / f"{RUN}.{pid}").touch()
        os.utime(tmp_path / f"{RUN}.{pid}", (pid, pid))
    assert ProcessMap(tmp_path).look(RUN) == (None, [20, 300])


@pytest.mark.anyio
async def test_dead_are_named_beside_who_goes_on_until_the_run_is_over(tmp_path: Path) -> None:
    """A request that comes after the death gets the names, too."""
    (tmp_path / f"{RUN}.1").touch()
    async with ProcessMap(tmp_path).here(RUN):
        assert await asyncio.to_thread(ProcessMap(tmp_path).look, RUN) == (os.getpid(), [1])
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


def test_sibling_forgets_what_the_dead_left_of_runs_long_ago(tmp_path: Path) -> None:
    """No process has resumed these runs, so none would remove the names."""
    (tmp_path / "run_0.1").touch()
    os.utime(tmp_path / "run_0.1", (0, 0))

    async def begin() -> None:
        async with ProcessMap(tmp_path).here(RUN):
            pass

    asyncio.run(begin())
    assert list(tmp_path.iterdir()) == []


def test_sibling_finds_nobody_for_a_run_never_heard_of(tmp_path: Path) -> None:
    """Neither a file nor a folder is needed to say so."""
    assert ProcessMap(tmp_path / "absent").find(RUN) is None


@pytest.mark.anyio
async def test_process_that_takes_a_run_over_goes_on_while_the_other_still_says_it_is_there(
    tmp_path: Path,
) -> None:
    """A process that was fenced off may hold its lock for a while: that is no run's end."""
    async with ProcessMap(tmp_path).here(RUN):
        async with ProcessMap(tmp_path).here(RUN):
            pass
        assert await asyncio.to_thread(ProcessMap(tmp_path).find, RUN) == os.getpid()


@pytest.mark.anyio
async def test_run_that_is_cancelled_at_its_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    """The thread that writes the file cannot be cancelled: it is waited out by what comes next."""

    async def produce() -> None:
        async with ProcessMap(tmp_path).here(RUN):
            await asyncio.Event().wait()

    for _ in range(20):
        run = asyncio.create_task(produce())
        await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait({run})
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []
