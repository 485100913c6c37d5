"""Which process runs an agent right now: for the demo, which kills that one on request.

A process says so with a locked file for each run, in a folder that its siblings read. The
lock ends with the process, so that what a dead one left behind names nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from gateway.agents.base import ExecutesTools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from gateway.agents.base import Agent, AgentRequest
    from gateway.ids import RunId
    from protocol.chunks import AnyChunk


class Finder(Protocol):
    """Finds agents; see `sessions.AgentFinder`."""

    def find(self, name: str | None, model: str | None) -> Agent:
        """Return the agent for a request."""
        ...


class Whereabouts:
    """The processes on this machine that share a folder, and the runs they are at.

    Args:
        folder: made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def here(self, run_id: RunId) -> Iterator[None]:
        """Say that this process runs it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / run_id
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(str(os.getpid()))
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

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


class TracedAgents:
    """Agents that say where they run."""

    def __init__(self, agents: Finder, whereabouts: Whereabouts) -> None:
        self._agents = agents
        self._whereabouts = whereabouts

    def find(self, name: str | None, model: str | None) -> Agent:
        """Return the agent for a request; raises what the finder below raises."""
        return _TracedAgent(self._agents.find(name, model), self._whereabouts)


class _TracedAgent:
    def __init__(self, agent: Agent, whereabouts: Whereabouts) -> None:
        self.name = agent.name
        self.passes_on = getattr(agent, "passes_on", False)
        self._agent = agent
        self._whereabouts = whereabouts

    def executes(self, tool_name: str) -> bool:
        return isinstance(self._agent, ExecutesTools) and self._agent.executes(tool_name)

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        with self._whereabouts.here(request.run_id):
            async for chunks in self._agent.stream(request):
                yield chunks
