"""Bounds of the runs that this process produces."""

from __future__ import annotations

from msgspec import Struct


class ProducerLimits(Struct, frozen=True, kw_only=True):
    """Bounds of one run.

    Attributes:
        max_pending_bytes: chunks held while Redis is away; the agent waits beyond it.
        outage_limit_s: how long the agent may wait so before the run is given up.
        close_limit_s: how long what is left, and then the terminal, is tried; after it the
            lease runs out, and a reaper closes the run.
        held_s: how long what is stored may be appended again, if that is longer than one Redis
            needs: others may replace it.
        reconnect_window_s: how long chunks of ended runs are kept.
    """

    max_pending_bytes: int = 4 * 1024 * 1024
    outage_limit_s: float = 60.0
    close_limit_s: float = 600.0
    held_s: float = 0.0
    reconnect_window_s: float = 3600.0
