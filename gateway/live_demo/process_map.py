"""Map of runs to the processes that produce them, for the demo, which kills one on request.

A process keeps a locked file for each run, in a folder that its siblings read. The lock ends with
the process; the file of a killed one stays until the run ends, and names the dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from typing import TextIO

    from midstream.agents.base import AgentFinder, AgentRequest, AnyAgent
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk
    from midstream.settings.sections import Settings


KEPT_S: Final = 3600
"""Age at which the files of dead processes are removed."""


class ProcessMap:
    """The processes on this machine that share a folder, and the runs that they produce.

    Args:
        folder: created on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deaths = folder / "deaths"

    @asynccontextmanager
    async def here(self, run_id: RunId) -> AsyncIterator[None]:
        """Enter this process for the run; files are written off the event loop."""
        mark = _RunFile(self._folder, run_id)
        try:
            await asyncio.to_thread(mark.set)
            yield
        finally:
            await asyncio.to_thread(mark.remove)

    def find(self, run_id: RunId) -> int | None:
        """Return the id of the process that produces the run, if any."""
        return self.look(run_id)[0]

    def look(self, run_id: RunId) -> tuple[int | None, list[int]]:
        """Return the process that produces the run, if any, and those that died while they did."""
        at_work: list[int] = []
        dead: list[int] = []
        for path in _marks(self._folder, run_id):
            (at_work if _is_locked(path) else dead).append(int(path.suffix[1:]))
        return at_work[-1] if at_work else None, dead

    def note_death(self, pid: int) -> None:
        """Record that a process is killed, until `forget_death`: the killer may be killed too."""
        self._deaths.mkdir(parents=True, exist_ok=True)
        (self._deaths / str(pid)).touch()

    def deaths(self) -> list[int]:
        """Return the processes whose death is recorded."""
        return [int(path.name) for path in self._deaths.glob("*")]

    def forget_death(self, pid: int) -> None:
        """Remove the record of a death."""
        (self._deaths / str(pid)).unlink(missing_ok=True)


def _marks(folder: Path, run_id: str) -> list[Path]:
    """Return the files of a run's processes, oldest first."""
    dated = []
    for path in folder.glob(f"{run_id}.*"):
        with contextlib.suppress(FileNotFoundError):
            dated.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(dated)]


def _is_locked(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _remove_dead(paths: Iterable[Path], *, before: float) -> None:
    """Remove unlocked files older than a time."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime <= before and not _is_locked(path):
                path.unlink()


class _RunFile:
    """One process's file for a run. Its methods block, and may be called in any order."""

    def __init__(self, folder: Path, run_id: RunId) -> None:
        self._folder = folder
        self._run_id = run_id
        self._path = folder / f"{run_id}.{os.getpid()}"
        self._file: TextIO | None = None
        self._is_over = False
        self._guard = threading.Lock()

    def set(self) -> None:
        """Make the file, unless this process has one that was fenced off from the run."""
        with self._guard:
            if self._is_over or _is_locked(self._path):
                return  # the run was cancelled before a thread was free
            self._folder.mkdir(parents=True, exist_ok=True)
            _remove_dead(self._folder.glob("*.*"), before=time.time() - KEPT_S)
            # Locked before it has its name: a sibling that sees it unlocked sees a death.
            unnamed = self._path.with_name(f".{self._path.name}")
            file = unnamed.open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
            unnamed.rename(self._path)
            self._file = file

    def remove(self) -> None:
        """Remove it, and the files of the run's dead; `set` does nothing from now on."""
        with self._guard:
            self._is_over = True
            if self._file is None:
                return
            self._path.unlink(missing_ok=True)
            self._file.close()
            _remove_dead(_marks(self._folder, self._run_id), before=time.time())


class TracedAgents:
    """Agents whose runs are entered in a process map."""

    def __init__(self, agents: AgentFinder, process_map: ProcessMap) -> None:
        self._agents = agents
        self._process_map = process_map

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return the agent for a request; raises what the finder below raises."""
        return _TracedAgent(self._agents.find(name, model), self._process_map)


class _TracedAgent:
    def __init__(self, agent: AnyAgent, process_map: ProcessMap) -> None:
        self.name = agent.name
        self.traits = agent.traits
        self._agent = agent
        self._process_map = process_map

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        async with (
            self._process_map.here(request.run_id),
            aclosing(self._agent.stream(request)) as stream,  # type: ignore[type-var]
        ):
            async for chunks in stream:
                yield chunks


def process_map(settings: Settings) -> ProcessMap:
    """Return the map that all processes of one gateway share."""
    return ProcessMap(Path(settings.redis.data_dir) / "demo")
