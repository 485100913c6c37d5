"""Delays between retries on Redis."""

from __future__ import annotations

import asyncio
import random
from typing import Final

DELAYS_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Short at first, for a blip; never so long that a run's lease (8 s) is spent waiting."""


class Backoff:
    """Growing delays with jitter, so that processes do not retry in step."""

    def __init__(self) -> None:
        self.attempts = 0

    async def wait(self) -> None:
        """Wait for the next attempt."""
        delay_s = DELAYS_S[min(self.attempts, len(DELAYS_S) - 1)]
        self.attempts += 1
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
