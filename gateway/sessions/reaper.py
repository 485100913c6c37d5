"""Leases: renewed for the runs of this process, and taken over where a producer died.

A run whose lease has expired is an orphan. Whoever notices (the reaper's tick, a send, a
stop or a probe that meets it) raises its fence, and goes on with it (`succession.py`) or
writes its terminal, so that no client waits for ever. Not before this process has had a
working Redis for one full lease: after an outage all leases have expired, and their producers
are alive.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gateway.agents.base import cut_call
from gateway.errors import GatewayError, StoreError, StoreUnavailableError, UpgradeNeededError
from gateway.sessions.closing import close_request, commit_close
from gateway.sessions.stored import stored_chunks, stored_message
from gateway.store.records import AppendStatus, RunOutcome
from gateway.telemetry import ORPHANS_CLOSED, RUNS_ENDED
from protocol.assembler import Assembler
from protocol.writer import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from gateway.agents.base import AgentTraits
    from gateway.ids import RunId, SessionId
    from gateway.sessions.producer import Producer
    from gateway.store.records import TakenOver
    from gateway.store.store import SessionStore
    from protocol.messages import UIMessage

logger = logging.getLogger(__name__)

ORPHAN_SENTENCE: Final = (
    "The answer was interrupted because the process that produced it stopped. Send it again."
)
ORPHANS_A_TICK: Final = 50
MAX_PASSED_OVER: Final = 1_000
"""Orphans that cannot be closed here, which a tick looks past to find others."""
CLOSE_LIMIT_S: Final = 5.0


class LeaseLimits(Struct, frozen=True, kw_only=True):
    """How long a silent producer keeps a run, and how often leases are looked at.

    With the defaults an orphan is closed 8 to 12 s after its producer's last renewal.
    """

    lease_s: float = 8.0
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
        go_on: produces a run on that was taken over; False if it is to be closed.
            None: all are.
        find_traits: the traits of the configured agent of this name; None if there is none.
    """

    def __init__(
        self,
        store: SessionStore,
        limits: LeaseLimits,
        producers: Callable[[], Iterable[Producer]],
        go_on: Callable[[TakenOver], Awaitable[bool]] | None = None,
        find_traits: Callable[[str], AgentTraits | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._producers = producers
        self._go_on = go_on
        self._find_traits = find_traits
        self._retired = False
        self._passed_over: set[tuple[SessionId, RunId]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(), name="lease renewal")
            tasks.create_task(self._reap(), name="reaper")

    @property
    def may_take_over(self) -> bool:
        """Whether Redis has worked for long enough that an expired lease means a death."""
        if self._retired:
            return False
        since = self._store.healthy_since
        return since is not None and time.monotonic() - since >= self._limits.lease_s

    def retire(self) -> None:
        """Take nothing over any more: this process is about to leave, and hands over itself."""
        self._retired = True

    async def close_orphan(self, session_id: SessionId, run_id: RunId) -> bool:
        """Take a run over, and go on with it or write its terminal.

        Returns:
            False if it is not ours to take (now): it lives, has ended, or we may not yet.

        Raises:
            StoreUnavailableError: Redis cannot be reached; it stays an orphan.
            UpgradeNeededError: a newer gateway alone may close it; it stays an orphan.
        """
        if not self.may_take_over:
            return False
        if any(producer.key.run_id == run_id for producer in self._producers()):
            return False  # ours, and late with its renewal: that comes
        taken = await self._store.take_over(session_id, run_id, self._limits.lease_ms)
        if taken is None:
            return False
        logger.warning("orphan_taken run=%s session=%s next=%d", run_id, session_id, taken.next)
        return await self._goes_on(taken) or await self._close(taken)

    async def _goes_on(self, taken: TakenOver) -> bool:
        if self._go_on is None:
            return False
        try:
            return await self._go_on(taken)
        except GatewayError:
            raise
        except Exception:
            # A bug, of one run: it is closed, and the others still have their reaper.
            logger.exception("run_not_taken_up run=%s", taken.run.id)
            return False

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._limits.renew_interval_s)
            producers = list(self._producers())
            if not producers:
                continue
            try:
                answers = await self._store.renew(
                    [producer.key for producer in producers], self._limits.lease_ms
                )
            except StoreError:
                continue  # nobody else can take the runs over either
            for producer, answer in zip(producers, answers, strict=True):
                if answer.stopped_by is not None:
                    producer.stop(answer.stopped_by)
                elif not answer.held:
                    producer.lost(AppendStatus.NEWER if answer.newer else AppendStatus.FENCED)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            try:
                if self.may_take_over:
                    await self._close_orphans()
                await self._store.trim_due(ORPHANS_A_TICK)
            except StoreError as error:
                logger.info("reaper_waits reason=%s", error)

    async def _close_orphans(self) -> None:
        """Close what is due, but for what was found to be none of ours as long as it is due."""
        due = await self._store.expired_leases(ORPHANS_A_TICK + len(self._passed_over))
        self._passed_over.intersection_update(due)
        for orphan in due:
            if orphan in self._passed_over or await self._try_to_close(*orphan):
                continue
            if len(self._passed_over) < MAX_PASSED_OVER:
                self._passed_over.add(orphan)

    async def _try_to_close(self, session_id: SessionId, run_id: RunId) -> bool:
        """Close an orphan; False if there is no use in trying again."""
        try:
            await self.close_orphan(session_id, run_id)
        except StoreUnavailableError:
            raise
        except UpgradeNeededError:
            return False
        except GatewayError as error:
            logger.warning("orphan_not_closed session=%s reason=%s", session_id, error)
        except Exception:
            # A bug, or a run that cannot be read: the others still have their reaper.
            logger.exception("orphan_not_closed session=%s run=%s", session_id, run_id)
            return False
        return True

    async def _close(self, taken: TakenOver) -> bool:
        """Write a run's terminal; False if that became impossible in between."""
        base = await self._continued_message(taken)
        chunks = await stored_chunks(self._store, taken)
        writer = ChunkWriter.resume_from(chunks, taken.run.message_id, base)
        assembler = Assembler(taken.run.message_id, base)
        assembler.apply_all(chunks)
        stopped = taken.stopped_by is not None
        # Its process is gone: any call of it may have begun.
        begun = [call.id for call in writer.waiting]
        cut = cut_call(self._find_traits(taken.run.agent), begun, stopped=stopped)
        if stopped:
            outcome, closing = RunOutcome.STOPPED, writer.abort(cut=cut)
        else:
            outcome, closing = RunOutcome.INTERRUPTED, writer.fail(ORPHAN_SENTENCE, cut=cut)
        assembler.apply_all(closing)
        request = close_request(
            taken.key,
            taken.run,
            closing,
            first=taken.next,
            outcome=outcome,
            assembler=assembler,
            reconnect_window_s=self._limits.reconnect_window_s,
        )
        answer = await commit_close(self._store, request, limit_s=CLOSE_LIMIT_S)
        if answer is not None and answer.status is AppendStatus.NEWER:
            return False
        ORPHANS_CLOSED.inc()
        RUNS_ENDED.labels(outcome).inc()
        return True

    async def _continued_message(self, taken: TakenOver) -> UIMessage | None:
        if not taken.run.continues:
            return None
        return await stored_message(self._store, taken.key.session_id, taken.run.message_id)
