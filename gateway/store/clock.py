"""Redis's clock, held against ours that never jumps."""

from __future__ import annotations

from typing import Final, NamedTuple

TOLERANCE_S: Final = 1.0
"""How far the two may drift apart in a window. A living producer has renewed its lease so long
before its end that this much takes none from it; no correction of a clock by NTP is as quick."""

WINDOW_S: Final = 8.0
"""How long an observation is what later ones are held against."""


class _Lead(NamedTuple):
    """How far Redis's clock is ahead of ours, as one answer bounds it: seconds."""

    least: float
    most: float
    seen_at: float


class RedisClock:
    """What we know of Redis's clock. All times of ours are `time.monotonic()`.

    Attributes:
        even_since: the first time it was seen since it jumped, or at all; None before that.
    """

    def __init__(self) -> None:
        self.even_since: float | None = None
        self._lead: _Lead | None = None

    def observe(self, redis_ms: int, sent_at: float, received_at: float) -> bool:
        """Take a time that Redis has told between two of ours.

        Returns:
            Whether its clock has jumped since the last observation.
        """
        lead = _Lead(redis_ms / 1000 - received_at, redis_ms / 1000 - sent_at, received_at)
        known = self._lead
        jumped = known is not None and not (
            known.least - TOLERANCE_S <= lead.most and lead.least <= known.most + TOLERANCE_S
        )
        if known is None or jumped:
            self.even_since = received_at
        if known is None or jumped or _is_better(lead, known):
            self._lead = lead
        return jumped


def _is_better(lead: _Lead, known: _Lead) -> bool:
    narrower = lead.most - lead.least <= known.most - known.least
    return narrower or lead.seen_at - known.seen_at > WINDOW_S
