"""Group commit: one pipeline for all runs of a process, while the last is under way.

Producers put chunks into their run's `Lane` and never wait. The committer takes the content of
every lane, freezes it, and sends one append a run in one round trip. Idle, a chunk costs one
round trip; busy, batches grow by themselves. A frozen batch is sent again, unchanged,
until Redis has said what became of it: `(run, fence, first)` makes that safe.

As long as Redis stores what it is sent, a flush begins and ends by call, and wakes no task. What is
unusual (a refusal, a lost connection, a Redis that is away) is left to the committer's task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from midstream.aio.backoff import Backoff
from midstream.errors import StoreError, StoreUnavailableError
from midstream.sessions.containment import contained
from midstream.store.calls import AppendStatus
from midstream.telemetry import APPEND_SECONDS, CHUNKS_APPENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.sessions.runs.lane import Lane
    from midstream.store.calls import AppendBatch, Appended
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

MAX_LANES_PER_FLUSH: Final = 100
"""A flush of 500 appends holds Redis for 20 ms, and with it every other reader."""


_Flush: TypeAlias = "list[tuple[Lane, AppendBatch]]"
"""What is sent in one round trip: a frozen batch of each lane."""


class Committing(Protocol):
    """Sends the batches of lanes."""

    def notify(self, lane: Lane) -> None:
        """Queue a lane that has something to send."""
        ...

    async def run(self) -> None:
        """Send until cancelled."""
        ...


class Committer:
    """Implements `Committing`. One for each process, or for each of several servers.

    `run` is its only task.

    Args:
        passes_on: takes a lane that is another committer's by now, and says so.
    """

    def __init__(
        self, store: SessionStore, passes_on: Callable[[Lane], bool] | None = None
    ) -> None:
        self._store = store
        self._passes_on = passes_on
        self._ready: dict[Lane, None] = {}
        self._flushing = True  # or not running: then `run` begins with what is ready
        self._left: asyncio.Future[_Flush] | None = None

    def notify(self, lane: Lane) -> None:
        """Queue a lane that has something to send."""
        self._ready[lane] = None
        if not self._flushing:
            self._flush_soon()

    async def run(self) -> None:
        """Flush until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._left = loop.create_future()
                self._flush()
                await self._insist(await self._left)
        finally:
            self._flushing, self._left = True, None

    def _flush_soon(self) -> None:
        """Flush a turn of the loop later: with what else has come by then."""
        self._flushing = True
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what is ready by call; leave it to the task if that is not possible."""
        left = self._left
        if left is None or left.done():
            return  # nothing runs any more
        flush: _Flush = []
        try:
            self._freeze(flush)
            self._flushing = bool(flush)
            if flush and not self._sends_by_call(flush):
                left.set_result(flush)
        except (Exception, asyncio.CancelledError) as error:
            _fail(left, flush, error)

    def _sends_by_call(self, flush: _Flush) -> bool:
        done = partial(self._take, flush, time.perf_counter())
        try:
            return self._store.append_by_call([batch for _, batch in flush], done)
        except Exception:
            return False  # the task meets it again, with each batch alone

    def _take(self, flush: _Flush, began: float, answers: Sequence[Appended] | None) -> None:
        """Take the answers to a flush that was sent by call; without them, the task insists."""
        left = self._left
        if left is None or left.done():
            return
        try:
            if answers is None:
                left.set_result(flush)
                return
            APPEND_SECONDS.observe(time.perf_counter() - began)
            self._acknowledge(flush, answers)
            if self._ready:
                self._flush_soon()
            else:
                self._flushing = False
        except (Exception, asyncio.CancelledError) as error:
            _fail(left, flush, error)

    async def _insist(self, flush: _Flush) -> None:
        """Append until the outcome is known, and take it."""
        try:
            self._acknowledge(flush, await self._append([batch for _, batch in flush]))
        except Exception as error:
            _give_up(flush, error)

    def _freeze(self, flush: _Flush) -> None:
        """Take one batch of each lane that is ready; a lane that fails by itself harms no other."""
        while not flush and (lanes := self._choose()):
            for lane in lanes:
                try:
                    if self._passes_on is None or not self._passes_on(lane):
                        flush.append((lane, lane.freeze()))
                except Exception as error:
                    _break_down(lane, error)

    def _acknowledge(self, flush: _Flush, answers: Sequence[Appended | None]) -> None:
        chunks = 0
        for (lane, batch), answer in zip(flush, answers, strict=True):
            try:
                if answer is None or answer.status is AppendStatus.UNKNOWN:
                    self._rest(lane, is_refused=answer is None)
                else:
                    chunks += batch.chunks.count
                    lane.acknowledge(answer)
            except Exception as error:
                _break_down(lane, error)
            if lane.busy:
                self._ready[lane] = None
        CHUNKS_APPENDED.inc(chunks)

    def _rest(self, lane: Lane, *, is_refused: bool) -> None:
        """Have a batch sent again later; the other lanes do not wait for it."""
        rest_s = lane.put_back(is_refused=is_refused)
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
                return list(answers)


async def recover(committer: Committing, lane: Lane, expected: int, limit_s: float) -> bool:
    """Append again what a failover has lost of a run that has ended: from `expected` on.

    Returns:
        False if not all of it is retained, or Redis stays away for `limit_s`.
    """
    if not lane.append_again(expected):
        return False
    committer.notify(lane)
    try:
        async with asyncio.timeout(limit_s):
            await lane.drained()
    except TimeoutError:
        return False
    return True


def _fail(left: asyncio.Future[_Flush], flush: _Flush, error: BaseException) -> None:
    """Have the task raise what a callback has; it is logged there, and the task begins anew."""
    failure = RuntimeError("unable to flush by call")
    failure.__cause__ = error
    _give_up(flush, failure)
    left.set_exception(failure)


def _give_up(flush: _Flush, error: Exception) -> None:
    """Give up the lanes of a flush: what became of their batches is not known here any more.

    Their runs are closed from the log, and the other lanes continue.
    """
    for lane, _ in flush:
        _break_down(lane, error)


def _break_down(lane: Lane, error: Exception) -> None:
    with contained("committer", session=lane.key.session_id, run=lane.key.run_id):
        lane.break_down(error)
        raise error
