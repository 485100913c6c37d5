"""Group commit: one pipeline for all runs of a process, while the last is under way.

Producers put chunks into their run's `Lane` and never wait. The committer takes the content of
every lane, freezes it, and sends one append a run in one round trip. Idle, a chunk costs one
round trip; busy, batches grow by themselves. A frozen batch is sent again, unchanged,
until Redis has said what became of it: `(run, fence, first)` makes that safe.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.aio.backoff import Backoff
from midstream.errors import StoreError, StoreUnavailableError
from midstream.sessions.containment import contained
from midstream.telemetry import APPEND_SECONDS, CHUNKS_APPENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.sessions.runs.lane import Lane
    from midstream.store.calls import AppendBatch, Appended
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

MAX_LANES_PER_FLUSH: Final = 100
"""A flush of 500 appends holds Redis for 20 ms, and with it every other reader."""


class Committer:
    """Sends the batches of lanes. One for each process; `run` is its only task."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._ready: dict[Lane, None] = {}
        self._wake = asyncio.Event()

    def notify(self, lane: Lane) -> None:
        """Queue a lane that has something to send."""
        self._ready[lane] = None
        self._wake.set()

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await self._wake.wait()
            lanes = self._choose()
            if not lanes:
                self._wake.clear()
                continue
            try:
                await self._flush(lanes)
            except Exception as error:
                # What became of their batches is not known here any more; their runs are closed
                # from the log, and the other lanes continue.
                for lane in lanes:
                    _break_down(lane, error)

    async def _flush(self, lanes: Sequence[Lane]) -> None:
        """Append one batch of each lane; a lane that fails by itself harms no other."""
        frozen: list[tuple[Lane, AppendBatch]] = []
        for lane in lanes:
            try:
                frozen.append((lane, lane.freeze()))
            except Exception as error:
                _break_down(lane, error)
        if not frozen:
            return
        answers = await self._append([batch for _, batch in frozen])
        for (lane, _), answer in zip(frozen, answers, strict=True):
            try:
                if answer is None:
                    self._rest(lane)
                else:
                    lane.acknowledge(answer)
            except Exception as error:
                _break_down(lane, error)
            if lane.busy:
                self._ready[lane] = None

    def _rest(self, lane: Lane) -> None:
        """Have a refused batch sent again later; the other lanes do not wait for it."""
        rest_s = lane.put_back()
        if rest_s is not None:
            asyncio.get_running_loop().call_later(rest_s, self._wake_up, lane)

    def _wake_up(self, lane: Lane) -> None:
        lane.resting = False
        self.notify(lane)

    def _choose(self) -> list[Lane]:
        lanes: list[Lane] = []
        while self._ready and len(lanes) < MAX_LANES_PER_FLUSH:
            lane = next(iter(self._ready))
            del self._ready[lane]
            if lane.busy:
                lanes.append(lane)
        return lanes

    async def _append(self, batches: Sequence[AppendBatch]) -> list[Appended | None]:
        """Append until the outcome is known, for as long as it takes.

        Producers bound what gathers meanwhile, and decide how long is too long.

        Returns:
            The answers in order; None for a batch that Redis refuses: it is out of memory, or
            has a foreign value under our key.
        """
        backoff = Backoff()
        while True:
            try:
                with APPEND_SECONDS.time():
                    answers = await self._store.append(batches)
            except StoreUnavailableError as error:
                if backoff.attempts == 0:
                    logger.warning("append_failed runs=%d reason=%s", len(batches), error)
                await backoff.wait()
            except Exception as error:
                if len(batches) > 1:
                    return [(await self._append([batch]))[0] for batch in batches]
                key = batches[0].key
                if isinstance(error, StoreError):
                    logger.warning(
                        "append_refused run=%s session=%s reason=%s",
                        *(key.run_id, key.session_id, error),
                    )
                else:
                    logger.exception("append_failed run=%s session=%s", key.run_id, key.session_id)
                return [None]
            else:
                CHUNKS_APPENDED.inc(sum(batch.chunks.count for batch in batches))
                return list(answers)


def _break_down(lane: Lane, error: Exception) -> None:
    with contained("committer", session=lane.key.session_id, run=lane.key.run_id):
        lane.break_down(error)
        raise error
