"""Runs and sessions: accepted, produced, kept, read, stopped.

The main flow: `sessions.Sessions.start` decides what a POST means (`accept`), opens a run in
the store, and has `runs` drive it with a `Producer`. The producer's chunks go through the
`committer` into the log; the log's records come back through the `hub` into a `Feed` per
session, whose `RunLog`s the `readers` of this process follow. The `reaper` keeps leases and
takes over the runs of the dead: `succession` goes on with those that can be, the others are
closed. Runs that are written from outside are `pushed`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from midstream.errors import AgentNotFoundError
from midstream.sessions.containment import keep_running
from midstream.sessions.failover.reaper import LeaseLimits, Reaper
from midstream.sessions.failover.resume import Succession
from midstream.sessions.log.hub import Hub
from midstream.sessions.log.orphans import Orphans
from midstream.sessions.log.readers import Draining, ReaderLimits
from midstream.sessions.opening.open_run import AgentFinder, SessionLimits
from midstream.sessions.presence import Presence
from midstream.sessions.proxied.run import TurnLimits
from midstream.sessions.pushed.runs import PushLimits
from midstream.sessions.runs.closer import RunCloser
from midstream.sessions.runs.committer import Committer
from midstream.sessions.runs.producer import ProducerLimits
from midstream.sessions.runs.registry import Runs
from midstream.sessions.service import Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.agents.base import AgentTraits
    from midstream.sessions.contract import RunHold
    from midstream.store.store import SessionStore

__all__ = [
    "AgentFinder",
    "LeaseLimits",
    "Limits",
    "ProducerLimits",
    "ReaderLimits",
    "SessionLimits",
    "Sessions",
    "TurnLimits",
    "open_sessions",
]


class Limits(Struct, frozen=True, kw_only=True):
    """All bounds of this layer; each part documents its own."""

    sessions: SessionLimits = SessionLimits()
    readers: ReaderLimits = ReaderLimits()
    producers: ProducerLimits = ProducerLimits()
    leases: LeaseLimits = LeaseLimits()
    turns: TurnLimits = TurnLimits()


@asynccontextmanager
async def open_sessions(
    store: SessionStore,
    agents: AgentFinder,
    limits: Limits,
    *,
    take_up_hold: Callable[[bytes], RunHold | None] = lambda _: None,
) -> AsyncIterator[Sessions]:
    """Run this process's share of the sessions; leaving cancels what `drain` has left.

    Args:
        take_up_hold: returns the place that a run's caller had for it in another process, from
            what `RunHold.told` said there.

    Enters once the channel is open. The layer's own tasks outlive what goes wrong with one
    session or run (`containment`).
    """
    orphans = Orphans()
    hub = Hub(store, tick_s=limits.readers.heartbeat_interval_s / 3, orphans=orphans)
    committer = Committer(store)
    closer = RunCloser(store, limits.leases.reconnect_window_s, lambda name: _traits(agents, name))
    runs = Runs(store, hub, committer, closer, limits.producers)
    succession = Succession(store, agents, runs, take_up_hold)
    reaper = Reaper(store, limits.leases, runs.active, closer, orphans, succession.go_on)
    presence = Presence(store)
    sessions = Sessions(
        store,
        agents,
        hub,
        runs,
        reaper,
        presence,
        orphans,
        Draining(),
        limits=limits.sessions,
        reader_limits=limits.readers,
        push_limits=PushLimits(
            lease_ms=limits.leases.lease_ms, reconnect_window_s=limits.leases.reconnect_window_s
        ),
        turn_limits=limits.turns,
    )
    async with asyncio.TaskGroup() as tasks:
        own = [
            tasks.create_task(hub.run(), name="hub"),
            tasks.create_task(keep_running("committer", committer.run), name="committer"),
            tasks.create_task(reaper.run(), name="reaper"),
            tasks.create_task(keep_running("presence", presence.run), name="presence"),
            tasks.create_task(keep_running("pushed runs", sessions.pushed.run), name="pushed runs"),
        ]
        try:
            await hub.ready()
            yield sessions
        finally:
            await runs.cancel()
            await sessions.held.aclose()
            await sessions.own_sends.aclose()
            for task in own:
                task.cancel()


def _traits(agents: AgentFinder, name: str) -> AgentTraits | None:
    with suppress(AgentNotFoundError):
        return agents.find(name, None).traits
    return None
