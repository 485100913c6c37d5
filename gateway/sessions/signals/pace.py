"""Pace of a run: when its chunks came, as far as a person would notice.

It is told of every batch, so it keeps little: the newest moment, and the pauses that were long.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias

from midstream.protocol.chunks import ReasoningDeltaChunk, TextDeltaChunk, ToolInputDeltaChunk
from midstream.protocol.salvage import readable_lines

if TYPE_CHECKING:
    from midstream.protocol.batch import ChunkBatch

PAUSE_S: Final = 0.5
"""The shortest pause that is kept: the least that the metrics tell apart."""

PAUSES: Final = 64
"""The longest pauses that are kept."""

_Pause: TypeAlias = tuple[float, float]
"""When it began, and when it was over."""

BYTES_A_TOKEN: Final = 4
"""Estimate, as of the limits."""


class RunPace:
    """When the chunks of one run came to this process, by `time.monotonic()`.

    Attributes:
        first: when the first chunk besides `start` came; None: there was none yet.
        tokens_after_stop: estimate of what came once a stop was recorded.
    """

    __slots__ = ("_newest", "_pauses", "began", "first", "tokens_after_stop")

    def __init__(self) -> None:
        self.began = self._newest = time.monotonic()
        self.first: float | None = None
        self.tokens_after_stop = 0
        self._pauses: tuple[_Pause, ...] = ()  # most runs have none, and there are many runs

    def heard(self, batch: ChunkBatch) -> None:
        """Take a batch."""
        now = time.monotonic()
        if now - self._newest > PAUSE_S:
            self._keep((self._newest, now))
        self._newest = now
        if self.first is None and batch.last > 0:
            self.first = now

    def heard_after_stop(self, batch: ChunkBatch) -> None:
        """Take a batch that was stored behind the record of a stop."""
        written = sum(
            len(chunk.input_text_delta if isinstance(chunk, ToolInputDeltaChunk) else chunk.delta)
            for chunk in readable_lines(batch.payload)[0]
            if isinstance(chunk, TextDeltaChunk | ReasoningDeltaChunk | ToolInputDeltaChunk)
        )
        self.tokens_after_stop += -(-written // BYTES_A_TOKEN)

    def longest_silence(self, since: float, until: float, *, ended: bool) -> float:
        """Return the longest time without a chunk between two moments, in seconds.

        Args:
            ended: the newest batch was the run's last: the time after it is no silence.
        """
        pauses = self._pauses if ended else (*self._pauses, (self._newest, until))
        lengths = (min(over, until) - max(begun, since) for begun, over in pauses)
        return max(0.0, max(lengths, default=0.0))

    def _keep(self, pause: _Pause) -> None:
        pauses = (*self._pauses, pause)
        if len(pauses) > PAUSES:
            shortest = min(pauses, key=lambda each: each[1] - each[0])
            pauses = tuple(each for each in pauses if each is not shortest)
        self._pauses = pauses
