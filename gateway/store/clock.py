"""Compares Redis's clock with our monotonic one, to notice jumps."""

from __future__ import annotations

from typing import Final, NamedTuple

TOLERANCE_S: Final = 1.0
"""Drift of the two clocks within a window that counts as even. It is less than the time by which
a living producer renews its lease early, and more than any correction by NTP."""

WINDOW_S: Final = 8.0
"""Time for which later observations are compared with one."""


class _Lead(NamedTuple):
    """Bounds of the lead of Redis's clock over ours, from one answer, in seconds."""

    least: float
    most: float
    seen_at: float


class RedisClock:
    """Our knowledge of Redis's clock. Our own times are those of `time.monotonic()`.

    Attributes:
        even_since: the first observation since the last jump, or the first of all; None before
            that.
    """

    def __init__(self) -> None:
        self.even_since: float | None = None
        self._lead: _Lead | None = None

    def observe(self, redis_ms: int, sent_at: float, received_at: float) -> bool:
        """Take a time of Redis's clock, which was read between two times of ours.

        Returns:
            Whether Redis's clock has jumped since the last observation.
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
