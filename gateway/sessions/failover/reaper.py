"""Leases and waits: renewed for the runs of this process, and ended where their time is over.

A run whose lease has expired is an orphan. A reaper's tick, a send, a stop, a reader or a snapshot
finds it (`log/orphans.py`). The reaper takes it over, which raises its fence, and resumes it
(`resume.py`) or writes its terminal: no client waits for ever. It takes nothing over before Redis
has worked for one full lease: after an outage all leases have expired, and their producers live.

A run that waits for somebody has no lease, and is no orphan. When its wait has expired, the reaper
writes its terminal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.errors import GatewayError, StoreUnavailableError, UpgradeNeededError
from midstream.sessions.containment import Quarantine, contained, keep_running
from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

    from midstream.ids import RunId, SessionId
    from midstream.sessions.log.orphans import Orphans
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.runs.closer import RunCloser
    from midstream.sessions.runs.producer import Producer
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

ORPHANS_A_TICK: Final = 50
CLOSED_AT_ONCE: Final = 8
"""A process that dies may leave hundreds: one after the other, their readers would wait for the sum
of all their round trips. More at once would only delay the chunks of those that live."""

MAX_PASSED_OVER: Final = 1_000
"""Orphans that cannot be closed here and that a tick skips to find others."""


class LeaseLimits(Struct, frozen=True, kw_only=True):
    """Length of a lease, and the intervals at which leases are renewed and checked.

    With the defaults an orphan is closed 8 to 12 s after its producer's last renewal.

    Attributes:
        longest_s: the most that a worker's claim may ask for.
    """

    lease_s: float = 8.0
    longest_s: float = 3600.0
    renew_interval_s: float = 2.5
    tick_s: float = 2.0
    reconnect_window_s: float = 3600.0

    @property
    def lease_ms(self) -> int:
        """The lease as Redis takes it."""
        return int(self.lease_s * 1000)


class Reaper:
    """Renews, takes over and trims. One for each process; `run` is its task.

    Args:
        producers: the runs of this process, now.
        closer: writes the terminals of the others.
        orphans: those that readers and snapshots of this process meet.
        resume: resumes a run that was taken over; False if it is to be closed. None: all are.
        unanswered: ends the wait of a run for which nobody came. None: they are closed.
    """

    def __init__(
        self,
        store: SessionStore,
        limits: LeaseLimits,
        producers: Callable[[], Iterable[Producer]],
        closer: RunCloser,
        orphans: Orphans,
        resume: Callable[[TakenOver], Awaitable[bool]] | None = None,
        unanswered: Callable[[TakenOver], Awaitable[bool]] | None = None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._producers = producers
        self._closer = closer
        self._orphans = orphans
        self._resume = resume
        self._unanswered = unanswered
        self._failing: Quarantine[tuple[SessionId, RunId]] = Quarantine("reaper")
        self._retired = False
        self._taken = 0
        self._passed_over: set[tuple[SessionId, RunId]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("lease renewals", self._renew), name="lease renewals")
            tasks.create_task(keep_running("reaper", self._reap), name="reaper")

    def may_take_over(self, session_id: SessionId) -> bool:
        """Whether its Redis has worked for long enough that an expired lease means a death."""
        if self._retired:
            return False
        since = self._store.served_since(session_id)
        return since is not None and time.monotonic() - since >= self._limits.lease_s

    def retire(self) -> None:
        """Stop taking over: this process shuts down, and hands its own runs over."""
        self._retired = True

    async def close_orphan(
        self, session_id: SessionId, run_id: RunId, *, waits: bool = False
    ) -> bool:
        """Take a run over, and resume it or write its terminal.

        A run whose wait has expired is closed, too.

        Args:
            waits: it waited when it was stopped: no producer may live, and it is taken at once.

        Returns:
            False if it is not ours to take (now): it lives, has ended, or we may not yet.

        Raises:
            StoreUnavailableError: Redis cannot be reached; it stays an orphan.
            UpgradeNeededError: a newer gateway alone may close it; it stays an orphan.
        """
        if not waits and not self.may_take_over(session_id):
            return False
        if any(producer.key.run_id == run_id for producer in self._producers()):
            return False  # ours, and late with its renewal: that comes
        taken = await self._store.take_over(session_id, run_id, self._limits.lease_ms, force=waits)
        if taken is None:
            return False
        self._taken += 1
        if taken.run.state is RunState.WAITING:
            logger.info("wait_expired run=%s session=%s", run_id, session_id)
            return await (self._unanswered or self._closer.close_unanswered)(taken)
        logger.warning("orphan_taken run=%s session=%s next=%d", run_id, session_id, taken.next)
        return await self._resumed(taken) or await self._closer.close_orphan(taken)

    async def until_ended(self, view: RunView, limit_s: float) -> bool:
        """Wait for a run's terminal, and write it if its producer dies or has died.

        Returns:
            False if it has none after `limit_s`, or two leases, if these are longer: only then
            is it known that no process could take it over.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
            UpgradeNeededError: a newer gateway alone may close it.
        """
        until = time.monotonic() + max(limit_s, 2 * self._limits.lease_s)
        while (left_s := until - time.monotonic()) > 0:
            if await view.until_ended(min(left_s, self._limits.tick_s)):
                return True
            await self.close_orphan(view.session_id, view.info.id)
        return view.ended

    async def _resumed(self, taken: TakenOver) -> bool:
        if self._resume is None:
            return False
        try:
            return await self._resume(taken)
        except GatewayError:
            raise
        except Exception:
            # A bug, of one run: it is closed, and the others still have their reaper.
            logger.exception(
                "run_not_resumed run=%s session=%s", taken.run.id, taken.key.session_id
            )
            return False

    async def _renew(self) -> None:
        """Renew at each server by itself: one that is away must cost no lease of another's."""
        renewing: dict[Hashable, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(self._limits.renew_interval_s)
                renewing = {place: task for place, task in renewing.items() if not task.done()}
                for place, producers in self._by_place().items():
                    if place not in renewing:
                        renewing[place] = tasks.create_task(
                            self._renew_at(producers), name="lease renewal"
                        )

    def _by_place(self) -> dict[Hashable, list[Producer]]:
        found: dict[Hashable, list[Producer]] = {}
        for producer in self._producers():
            found.setdefault(self._store.place(producer.key.session_id), []).append(producer)
        return found

    async def _renew_at(self, producers: Sequence[Producer]) -> None:
        try:
            await self._renew_all(producers)
        except StoreUnavailableError:
            return  # no other process can take the runs over either
        except Exception:
            # Redis refuses one of them: the others' leases must not run out for that.
            for producer in producers:
                await self._renew_one(producer)

    async def _renew_all(self, producers: Sequence[Producer]) -> None:
        keys = [producer.key for producer in producers]
        answers = await self._store.renew(keys, self._limits.lease_ms)
        for producer, answer in zip(producers, answers, strict=True):
            producer.renewed(answer)

    async def _renew_one(self, producer: Producer) -> None:
        key = producer.key.session_id, producer.key.run_id
        if not self._failing.admits(key):
            return
        try:
            await self._renew_all([producer])
        except StoreUnavailableError:
            return
        except Exception as error:
            self._failing.failed(key, error, session=key[0], run=key[1])
        else:
            self._failing.succeeded(key)

    async def _reap(self) -> None:
        while True:
            try:
                while await self._close_orphans():
                    pass  # as many as a dead process leaves: they do not wait for ticks
                with contained("trim", passes=(StoreUnavailableError,)):
                    await self._store.trim_due(ORPHANS_A_TICK)
            except StoreUnavailableError as error:
                logger.info("reaper_waits reason=%s", error)
            await self._orphans.wait(self._pause_s())

    def _pause_s(self) -> float:
        """Return how long to wait: a tick, or until runs may be taken over, after an outage."""
        tick_s, since = self._limits.tick_s, self._store.healthy_since
        if since is None:
            return tick_s
        left_s = since + self._limits.lease_s - time.monotonic()
        return left_s if 0 < left_s < tick_s else tick_s

    async def _close_orphans(self) -> bool:
        """Close the orphans that are due, and the runs whose wait has expired.

        Orphans that this process may not take are passed over.

        Returns:
            Whether closing them gets on: then there may be more. How many were found says nothing:
            others take some of the same at the same time.
        """
        limit = ORPHANS_A_TICK + len(self._passed_over)
        leases = await self._store.expired_leases(limit, longest_ms=self._limits.lease_ms)
        waits = await self._store.expired_waits(limit)
        due = [*leases, *waits]
        self._passed_over.intersection_update(due)
        ready = [orphan for orphan in due if self.may_take_over(orphan[0])]
        met = dict.fromkeys([*ready, *self._orphans.take(self.may_take_over)])
        orphans = [orphan for orphan in met if orphan not in self._passed_over]
        taken = self._taken
        # Each to its end: one that is cut off would be an orphan for one more lease.
        done = await asyncio.gather(*self._reap_all(orphans), return_exceptions=True)
        for orphan, outcome in zip(orphans, done, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if not outcome and len(self._passed_over) < MAX_PASSED_OVER:
                self._passed_over.add(orphan)
        return self._taken > taken

    def _reap_all(self, orphans: Sequence[tuple[SessionId, RunId]]) -> list[Awaitable[bool]]:
        """Close some at once; none is begun any more once Redis is away."""
        places = asyncio.Semaphore(CLOSED_AT_ONCE)
        away: list[StoreUnavailableError] = []

        async def reap(orphan: tuple[SessionId, RunId]) -> bool:
            async with places:
                if away:
                    raise away[0]
                try:
                    return await self._reap_one(*orphan)
                except StoreUnavailableError as error:
                    away.append(error)
                    raise

        return [reap(orphan) for orphan in orphans]

    async def _reap_one(self, session_id: SessionId, run_id: RunId) -> bool:
        """Close an orphan; one that cannot be closed is tried again later.

        Returns:
            False if there is no use in trying again: a newer gateway's, or in quarantine.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        key = session_id, run_id
        if not self._failing.admits(key):
            return True
        try:
            await self.close_orphan(session_id, run_id)
        except StoreUnavailableError:
            raise
        except UpgradeNeededError:
            return False
        except Exception as error:
            # Its session still names it: the next send finds it there.
            return not self._failing.failed(key, error, session=session_id, run=run_id)
        self._failing.succeeded(key)
        return True
