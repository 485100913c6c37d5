"""Group commit to several servers: one that is away holds up the runs of its own sessions alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from midstream.sessions.containment import keep_running
from midstream.sessions.runs.committer import Committer

if TYPE_CHECKING:
    from collections.abc import Hashable

    from midstream.sessions.runs.committer import Committing
    from midstream.sessions.runs.lane import Lane
    from midstream.store.contract import SessionStore


def committer_of(store: SessionStore) -> Committing:
    """Return the committer of a process."""
    return ShardCommitters(store) if store.is_sharded else Committer(store)


class ShardCommitters:
    """Implements `Committing`: a committer for each server, made when it is first needed.

    Where a session is, is asked again whenever a lane has something to send: slots move. A lane is
    with one committer at a time; the next one has it when the outcome of its batch is known.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._committers: dict[Hashable, Committer] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def notify(self, lane: Lane) -> None:
        """See Committing."""
        self._at(self._store.place(lane.key.session_id)).notify(lane)

    async def run(self) -> None:
        """See Committing."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for place, committer in self._committers.items():
                    self._begin(tasks, place, committer)
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None

    def _at(self, place: Hashable) -> Committer:
        committer = self._committers.get(place)
        if committer is None:

            def passes_on(lane: Lane) -> bool:
                now = self._store.place(lane.key.session_id)
                if now != place:
                    self._at(now).notify(lane)
                return now != place

            committer = self._committers[place] = Committer(self._store, passes_on)
            if self._tasks is not None:
                self._begin(self._tasks, place, committer)
        return committer

    def _begin(self, tasks: asyncio.TaskGroup, place: Hashable, committer: Committer) -> None:
        name = f"committer of {place}"
        tasks.create_task(keep_running(name, committer.run), name=name)
