"""Which process runs an agent right now: for the demo, which kills that one on request.

A process says so with a locked file for each run, in a folder that its siblings read. The
lock ends with the process, so that what a dead one left behind names nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from midstream.agents.base import AgentRequest, AnyAgent
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk


class Finder(Protocol):
    """Finds agents; see `sessions.AgentFinder`."""

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return the agent for a request."""
        ...


class Whereabouts:
    """The processes on this machine that share a folder, and the runs they are at.

    Args:
        folder: made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def here(self, run_id: RunId) -> AsyncIterator[None]:
        """Say that this process runs it; files are written off the event loop."""
        mark = _Mark(self._folder / run_id)
        try:
            await asyncio.to_thread(mark.set)
            yield
        finally:
            await asyncio.to_thread(mark.remove)

    def find(self, run_id: RunId) -> int | None:
        """Return the id of the process that runs it, if one does."""
        path = self._folder / run_id
        with contextlib.suppress(OSError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
            path.unlink(missing_ok=True)
        return None


class _Mark:
    """One run's file. Its methods block, and may be called in any order from threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._is_over = False
        self._guard = threading.Lock()

    def set(self) -> None:
        """Write this process into the file, unless another one, fenced off, still holds it."""
        with self._guard:
            if self._is_over:
                return  # the run was cancelled before a thread came to it
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._file = file

    def remove(self) -> None:
        """Take it away; `set` does nothing from now on."""
        with self._guard:
            self._is_over = True
            if self._file is not None:
                self._path.unlink(missing_ok=True)
                self._file.close()


class TracedAgents:
    """Agents that say where they run."""

    def __init__(self, agents: Finder, whereabouts: Whereabouts) -> None:
        self._agents = agents
        self._whereabouts = whereabouts

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return the agent for a request; raises what the finder below raises."""
        return _TracedAgent(self._agents.find(name, model), self._whereabouts)


class _TracedAgent:
    def __init__(self, agent: AnyAgent, whereabouts: Whereabouts) -> None:
        self.name = agent.name
        self.traits = agent.traits
        self._agent = agent
        self._whereabouts = whereabouts

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        async with (
            self._whereabouts.here(request.run_id),
            aclosing(self._agent.stream(request)) as stream,  # type: ignore[type-var]
        ):
            async for chunks in stream:
                yield chunks
