"""The runs that this process produces: each a task, each with an end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from midstream.agents.base import AgentRequest
from midstream.errors import GatewayError, StoreUnavailableError
from midstream.ids import part_id
from midstream.sessions.containment import contained
from midstream.sessions.runs.producer import Producer
from midstream.sessions.sentences import INTERNAL_SENTENCE
from midstream.sessions.signals.ends import count_run
from midstream.sessions.types import EndedRun
from midstream.telemetry import RUNS_ACTIVE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from midstream.agents.base import AnyAgent, Interrupted
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.access import Caller
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.live_runs import LiveRuns
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.runs.closer import RunCloser
    from midstream.sessions.runs.committer import Committing
    from midstream.sessions.runs.limits import ProducerLimits
    from midstream.sessions.signals.pace import RunPace
    from midstream.sessions.types import NewRun, RunHold, StartRequest
    from midstream.store.calls import RunKey, TakenOver
    from midstream.store.contract import SessionStore

logger = logging.getLogger(__name__)

HEAR_OWN_END_S: Final = 5.0
"""Time for a run's task to hear of its terminal on the feed, once that is committed."""

CLOSE_AFTER_DRAIN_S: Final = 10.0
"""Time for runs that a shutdown interrupts to write their terminals."""


class Runs:
    """Starts producers, knows them, and ends them at shutdown."""

    def __init__(
        self,
        store: SessionStore,
        hub: Hub,
        committer: Committing,
        closer: RunCloser,
        live_runs: LiveRuns,
        limits: ProducerLimits,
    ) -> None:
        self._store = store
        self._hub = hub
        self._committer = committer
        self._closer = closer
        self._live = live_runs
        self._limits = limits
        self._producers: dict[RunId, Producer] = {}
        self._holds: dict[RunId, RunHold] = {}
        self._tasks: dict[RunId, asyncio.Task[None]] = {}
        self._paces: dict[RunId, RunPace] = {}

    def active(self) -> Iterable[Producer]:
        """The producers of this process."""
        return self._producers.values()

    def paces(self) -> Iterable[RunPace]:
        """How the runs of this process come along."""
        return self._paces.values()

    def begin(
        self,
        view: RunView,
        new: NewRun,
        request: StartRequest,
        agent: AnyAgent,
        caller: Caller,
        hold: RunHold | None = None,
    ) -> None:
        """Start to produce a run that was just opened. Its feed must be attached.

        Args:
            hold: released when it is produced here no more.
        """
        run = view.info
        self.produce(
            view,
            new.key,
            agent=agent,
            request=AgentRequest(
                session_id=view.session_id,
                run_id=run.id,
                message_id=run.message_id,
                user=caller.user,
                tenant=caller.tenant,
                history=new.plan.history,
                model=request.model,
                body=request.body,
                new_id=part_id,
                trigger=request.trigger.value,
                target_id=request.message_id,
                headers=request.headers,
            ),
            continued=new.plan.continued,
            stopped_by="before it was sent" if new.is_stopped else None,
            hold=hold,
        )

    def produce(
        self,
        view: RunView,
        key: RunKey,
        *,
        agent: AnyAgent,
        request: AgentRequest,
        continued: UIMessage | None,
        stored: Sequence[AnyChunk] = (),
        stopped_by: str | None = None,
        hold: RunHold | None = None,
    ) -> Producer:
        """Start to produce a run that is ours to write; its feed must be attached.

        Args:
            continued, stored: see `Producer`.
            stopped_by: a stop is recorded for it: it is ended at once.
            hold: released when it is produced here no more.
        """
        run = view.info
        producer = Producer(
            key,
            run,
            agent=agent,
            request=request,
            continued=continued,
            committer=self._committer,
            store=self._store,
            limits=self._limits,
            stored=stored,
        )
        if stopped_by is not None:
            producer.stop(stopped_by)
        self._live.add(run.id, producer)
        self._start(producer, self._drive(producer, view, request), hold)
        logger.info(
            "run_opened run=%s session=%s agent=%s trigger=%s",
            run.id,
            view.session_id,
            run.agent,
            run.trigger,
        )
        return producer

    def resume(
        self,
        taken: TakenOver,
        agent: AnyAgent,
        request: AgentRequest,
        continued: UIMessage | None,
        interrupted: Interrupted | None,
        hold: RunHold | None = None,
    ) -> None:
        """Resume a run that was taken over, or begin one that has waited.

        Args:
            interrupted: None: nothing was said in it.
            hold: see `produce`.
        """
        producer = Producer(
            taken.key,
            taken.run,
            agent=agent,
            request=request,
            continued=continued,
            committer=self._committer,
            store=self._store,
            limits=self._limits,
            stored=() if interrupted is None else interrupted.chunks,
            interrupted=interrupted,
        )
        self._start(producer, self._drive_resumed(producer, request), hold)

    def _start(
        self,
        producer: Producer,
        driving: Coroutine[None, None, None],
        hold: RunHold | None = None,
    ) -> None:
        run_id = producer.key.run_id
        self._producers[run_id] = producer
        if hold is not None:
            hold.keep()
            self._holds[run_id] = hold
        task = asyncio.create_task(driving, name=f"run {run_id}")
        self._tasks[run_id] = task
        RUNS_ACTIVE.inc()

        def ended(_: object) -> None:
            self._forget(producer)
            producer.leave()
            if self._tasks.get(run_id) is task:
                del self._tasks[run_id]

        task.add_done_callback(ended)

    def _forget(self, producer: Producer) -> None:
        """Remove a producer that has ended; called again when its task is done."""
        run_id = producer.key.run_id
        if self._producers.get(run_id) is producer:
            del self._producers[run_id]
            RUNS_ACTIVE.dec()
            if (hold := self._holds.pop(run_id, None)) is not None:
                _let_go(hold, producer)

    async def _drive_resumed(self, producer: Producer, request: AgentRequest) -> None:
        """Find the run's log first: readers here may follow it already."""
        key = producer.key
        try:
            async with self._hub.attach(key.session_id) as feed:
                view = await feed.view_of(key.run_id)
                self._live.add(key.run_id, producer)
                if view.info.stopped_by is not None:
                    producer.stop(view.info.stopped_by)
                await self._drive(producer, view, request)
        except GatewayError as error:
            # It is an orphan again when its lease expires.
            logger.warning("run_not_resumed run=%s reason=%s", key.run_id, error)

    async def _drive(self, producer: Producer, view: RunView, request: AgentRequest) -> None:
        run_id = producer.key.run_id
        self._paces[run_id] = view.pace
        try:
            async with self._hub.attach(view.session_id):
                try:
                    await producer.run()
                except Exception as error:
                    await self._close_crashed(producer, error)
                finally:
                    self._forget(producer)
                if not producer.handed_over:
                    await _until_heard(view)
                    count_run(view, request)
        except StoreUnavailableError as error:
            logger.warning(
                "run_not_closed run=%s session=%s reason=%s", run_id, view.session_id, error
            )
        except Exception:
            # The lease runs out, and a reaper closes the run.
            logger.exception("run_not_closed run=%s session=%s", run_id, view.session_id)
        finally:
            del self._paces[run_id]
            self._live.remove(run_id, producer)
            view.pulse.send()

    async def _close_crashed(self, producer: Producer, error: Exception) -> None:
        """End a run whose producer has failed by itself; others end it if this fails too."""
        key = producer.key
        logger.error("run_crashed run=%s session=%s", key.run_id, key.session_id, exc_info=error)
        if not producer.fenced_off:
            await self._closer.close_crashed(key, producer.run_info, INTERNAL_SENTENCE)

    async def drain(self, limit_s: float) -> None:
        """Let runs finish for `limit_s`; then hand them over, or end them with an error.

        What has not let go after that is given up.
        """
        if self._tasks:
            logger.info("draining runs=%d limit_s=%s", len(self._tasks), limit_s)
            await asyncio.wait(set(self._tasks.values()), timeout=limit_s)
        for producer in list(self._producers.values()):
            key = producer.key
            with contained("drain", session=key.session_id, run=key.run_id):
                producer.hand_over()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=CLOSE_AFTER_DRAIN_S)
        await self.cancel()

    async def cancel(self) -> None:
        """End all tasks at once; other processes take their runs over."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _let_go(hold: RunHold, producer: Producer) -> None:
    if producer.fenced_off or producer.handed_over:
        hold.drop()
    else:
        key = producer.key
        hold.release(EndedRun(key.session_id, key.run_id, producer.count_tokens))


async def _until_heard(view: RunView) -> None:
    try:
        async with asyncio.timeout(HEAR_OWN_END_S):
            while not (view.ended or view.lost):
                await view.pulse.wait()
    except TimeoutError:
        return
