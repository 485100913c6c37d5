"""Assembly of the sessions: each part is built once, whole, below what uses it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from midstream.errors import AgentNotFoundError
from midstream.sessions.changing import Changing
from midstream.sessions.containment import keep_running
from midstream.sessions.draining import Draining
from midstream.sessions.failover.reaper import LeaseLimits, Reaper
from midstream.sessions.failover.resume import Resuming
from midstream.sessions.handoff.desk import Desk
from midstream.sessions.handoff.handoffs import Handoffs
from midstream.sessions.handoff.limits import HandoffLimits
from midstream.sessions.log.hub import Hub
from midstream.sessions.log.live_runs import LiveRuns
from midstream.sessions.log.orphans import Orphans
from midstream.sessions.log.presence import Presence
from midstream.sessions.log.readers import ReaderLimits
from midstream.sessions.opening.claims import Claims
from midstream.sessions.opening.due_turns import DueTurns
from midstream.sessions.opening.open_run import Opening
from midstream.sessions.opening.side_run import SideOpening
from midstream.sessions.opening.start import Starting
from midstream.sessions.proxied.run import ProxiedLimits
from midstream.sessions.proxied.run_ends import ProxiedRunEnds
from midstream.sessions.proxied.runs import ProxiedRuns
from midstream.sessions.pushed.held_runs import HeldRuns
from midstream.sessions.pushed.runs import PushedRuns
from midstream.sessions.queue.changes import QueueChanges
from midstream.sessions.queue.sending import Sending
from midstream.sessions.queue.steering import Steers
from midstream.sessions.queue.turns import QueueTurns, TurnLimits
from midstream.sessions.queue.waiting_reader import WaitingResponses
from midstream.sessions.reading import Reading
from midstream.sessions.runs.closer import RunCloser
from midstream.sessions.runs.limits import ProducerLimits
from midstream.sessions.runs.registry import Runs
from midstream.sessions.runs.shards import committer_of
from midstream.sessions.service import Sessions, Shutdown
from midstream.sessions.signals.tick import SignalTick
from midstream.sessions.stopping import Stopping
from midstream.sessions.types import PushLimits, RunHold, SessionLimits
from midstream.sessions.user_data.erasure import Erasure
from midstream.sessions.user_data.export import Exports
from midstream.sessions.user_data.users import Users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.agents.base import AgentFinder, AgentTraits
    from midstream.sessions.runs.committer import Committing
    from midstream.store.contract import SessionStore

__all__ = [
    "HandoffLimits",
    "LeaseLimits",
    "Limits",
    "ProducerLimits",
    "ProxiedLimits",
    "ReaderLimits",
    "SessionLimits",
    "TurnLimits",
    "open_sessions",
]


class Limits(Struct, frozen=True, kw_only=True):
    """All bounds of this layer; each part documents its own."""

    sessions: SessionLimits = SessionLimits()
    readers: ReaderLimits = ReaderLimits()
    producers: ProducerLimits = ProducerLimits()
    leases: LeaseLimits = LeaseLimits()
    proxied: ProxiedLimits = ProxiedLimits()
    turns: TurnLimits = TurnLimits()
    handoffs: HandoffLimits = HandoffLimits()


@asynccontextmanager
async def open_sessions(
    store: SessionStore,
    agents: AgentFinder,
    limits: Limits,
    *,
    adopt_hold: Callable[[bytes], RunHold | None] = lambda _: None,
    owns_redis: bool = False,
) -> AsyncIterator[Sessions]:
    """Run this process's share of the sessions; leaving cancels what `drain` has left.

    Args:
        adopt_hold: takes over the hold of a resumed run's caller, from the `RunHold.told` of the
            run's earlier process.
        owns_redis: the gateway has started the Redis, and nobody else's data is in it.

    Enters once the channel is open. The layer's own tasks outlive what goes wrong with one
    session or run (`containment`).
    """
    engine = _engine(store, agents, limits, adopt_hold)
    sessions = _sessions(store, agents, engine, limits, owns_redis=owns_redis)
    async with asyncio.TaskGroup() as tasks:
        own = [
            tasks.create_task(engine.hub.run(), name="hub"),
            tasks.create_task(keep_running("committer", engine.committer.run), name="committer"),
            tasks.create_task(engine.reaper.run(), name="reaper"),
            tasks.create_task(keep_running("presence", sessions.presence.run), name="presence"),
            tasks.create_task(keep_running("pushed runs", sessions.pushed.run), name="pushed runs"),
            tasks.create_task(sessions.turns.run(), name="queue turns"),
            tasks.create_task(keep_running("signals", engine.signals.run), name="signals"),
        ]
        try:
            await engine.hub.ready()
            yield sessions
        finally:
            await engine.runs.cancel()
            await sessions.held.aclose()
            await sessions.waiting.aclose()
            await sessions.reading.aclose()
            for task in own:
                task.cancel()


@dataclass(frozen=True, slots=True)
class _Engine:
    """The parts that write runs and follow their log."""

    hub: Hub
    orphans: Orphans
    committer: Committing
    runs: Runs
    reaper: Reaper
    signals: SignalTick
    handoffs: Handoffs
    adopt_hold: Callable[[bytes], RunHold | None]


def _engine(
    store: SessionStore,
    agents: AgentFinder,
    limits: Limits,
    adopt_hold: Callable[[bytes], RunHold | None],
) -> _Engine:
    orphans = Orphans()
    live_runs = LiveRuns()
    tick_s = limits.readers.heartbeat_interval_s / 3
    hub = Hub(store, tick_s=tick_s, orphans=orphans, live_runs=live_runs)
    committer = committer_of(store)
    closer = RunCloser(store, limits.leases.reconnect_window_s, lambda name: _traits(agents, name))
    runs = Runs(store, hub, committer, closer, live_runs, limits.producers)
    resuming = Resuming(store, agents, runs, adopt_hold)
    signals = SignalTick(store.used_memory, runs.paces)
    handoffs = Handoffs(store, resuming, closer, limits.handoffs)
    reaper = Reaper(
        store, limits.leases, runs.active, closer, orphans, resuming.resume, handoffs.unanswered
    )
    return _Engine(hub, orphans, committer, runs, reaper, signals, handoffs, adopt_hold)


def _sessions(
    store: SessionStore,
    agents: AgentFinder,
    engine: _Engine,
    limits: Limits,
    *,
    owns_redis: bool,
) -> Sessions:
    hub, runs, reaper = engine.hub, engine.runs, engine.reaper
    draining, presence = Draining(), Presence(store)
    stopping, due = Stopping(store, hub, reaper, limits.sessions), DueTurns()
    opening = Opening(store, agents, reaper, stopping, due, limits.sessions)
    sides = SideOpening(store, limits.sessions)
    claims = Claims(store, opening, sides, limits.leases.lease_ms)
    reading = Reading(store, hub, presence, engine.orphans, draining, limits.readers)
    proxied = ProxiedRuns(
        store, hub, runs, claims, draining, limits.leases.lease_ms, limits.proxied
    )
    starting = Starting(agents, hub, runs, opening, reading, draining)
    waiting = WaitingResponses(store, hub, opening, reading, draining, limits.readers)
    steering = Steers(store, hub, agents, due, limits.sessions)
    push_limits = PushLimits(
        lease_ms=limits.leases.lease_ms,
        max_lease_ms=int(limits.leases.longest_s * 1000),
        reconnect_window_s=limits.leases.reconnect_window_s,
    )
    changing = Changing(store, reaper, stopping, draining)
    return Sessions(
        store=store,
        starting=starting,
        sending=Sending(store, agents, starting, due, waiting, steering, limits.sessions),
        turns=QueueTurns(store, starting, due, draining, limits.turns, engine.adopt_hold),
        waiting=waiting,
        queues=QueueChanges(store, stopping, due, steering),
        steers=steering,
        reading=reading,
        stopping=stopping,
        changing=changing,
        users=Users(Erasure(store, changing, rewrite=owns_redis), Exports(store)),
        shutdown=Shutdown(draining, reaper, hub, proxied, runs),
        presence=presence,
        pushed=PushedRuns(store, hub, claims, draining, push_limits),
        proxied=proxied,
        proxied_ends=ProxiedRunEnds(store, hub, draining, proxied),
        held=HeldRuns(store, hub),
        handoffs=engine.handoffs,
        desk=Desk(store, presence, draining, limits.handoffs),
    )


def _traits(agents: AgentFinder, name: str) -> AgentTraits | None:
    with suppress(AgentNotFoundError):
        return agents.find(name, None).traits
    return None
