"""Sessions: the layer between the API and the store.

`contract.SessionService` is what the API uses, `assembly.open_sessions` builds it, and
`types` has the terms of both. The rooms, from the bottom up:

    log        a session's records, as one process receives them, and their readers
    runs       runs that this process produces
    failover   leases; runs whose process died are resumed or closed
    opening    a send becomes a run
    handoff    people answer in the place of an agent
    pushed     runs that a worker outside writes
    proxied    runs made of a backend's own calls to a provider

docs/architecture.md follows a delta, a stop and a run's end through them.
"""

from __future__ import annotations

from midstream.sessions.assembly import (
    HandoffLimits,
    LeaseLimits,
    Limits,
    ProducerLimits,
    ProxiedLimits,
    ReaderLimits,
    SessionLimits,
    TurnLimits,
    open_sessions,
)
from midstream.sessions.service import Sessions

__all__ = [
    "HandoffLimits",
    "LeaseLimits",
    "Limits",
    "ProducerLimits",
    "ProxiedLimits",
    "ReaderLimits",
    "SessionLimits",
    "Sessions",
    "TurnLimits",
    "open_sessions",
]
