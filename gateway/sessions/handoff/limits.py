"""Bounds of handoffs."""

from __future__ import annotations

from msgspec import Struct


class HandoffLimits(Struct, frozen=True, kw_only=True):
    """Waits and sizes of handoffs.

    Attributes:
        wait_ms: how long a session waits for a person before its agent has it again.
        claim_ms: a claim whose holder is not heard of for so long is released.
        lease_ms: of a run that its agent is given.
        is_open: everybody is an operator: without authentication, on this machine or in the demo.
        max_bytes: of an answer, or a note.
        desk_rows: sessions that a desk shows at most.
        desk_interval_s: how often it looks.
    """

    wait_ms: int = 1_800_000
    claim_ms: int = 120_000
    lease_ms: int = 8_000
    reconnect_window_s: float = 3600.0
    is_open: bool = False
    max_bytes: int = 1024 * 1024
    desk_rows: int = 500
    desk_interval_s: float = 1.0
    heartbeat_interval_s: float = 15.0
