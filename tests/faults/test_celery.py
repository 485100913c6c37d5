"""Celery's real workers, of which nothing is left, or whose tasks are revoked and stopped."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest
from celery.exceptions import TaskRevokedError

from tests.support.celery_worker import WHOLE, CeleryWorker, app_at, broker_of
from tests.support.processes import eventually
from tests.support.push import PUSH_ENVIRONMENT, PUSH_SETTINGS, answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from celery.result import AsyncResult

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = [pytest.mark.anyio, pytest.mark.release, pytest.mark.timeout(300)]


class Workers:
    """A queue of tasks, and one worker at a time."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.app = app_at(broker_of(deployment))
        self.started: list[CeleryWorker] = []
        self._deployment = deployment
        self._folder = folder

    def start(self) -> CeleryWorker:
        """Start the next worker."""
        log = self._folder / f"worker-{len(self.started)}"
        self.started.append(CeleryWorker(self._deployment, log))
        return self.started[-1]

    async def ask(self, session: Session, **points: Sequence[int]) -> AsyncResult[str]:
        """Send a task; see `celery_worker.answer`."""
        task: Any = self.app.signature("answer", (session.id,), points)
        asked: AsyncResult[str] = await asyncio.to_thread(task.delay)
        return asked


async def result_of(asked: AsyncResult[str]) -> str:
    """Wait for a task's result."""
    return await asyncio.to_thread(asked.get, 120)


async def stopped(session: Session) -> bool:
    """Whether the session's newest run has ended by a stop."""
    outcome = (await session.snapshot())["runs"][-1].get("outcome")
    return bool(outcome == "stopped")


async def is_silent(worker: CeleryWorker) -> None:
    """Wait until its task has written its words, and writes no more."""
    await eventually(lambda: "silent" in worker.process.output(), "the task is silent", 120)


async def has_ended(worker: CeleryWorker) -> None:
    """Wait until it is gone."""
    await eventually(lambda: worker.process.exit_code is not None, "the worker is gone", 120)


@pytest.fixture
def workers(own_deployment: Deployment, tmp_path: Path) -> Iterator[Workers]:
    """Two gateways, and no worker yet."""
    own_deployment.add_gateways(2, PUSH_SETTINGS, environment=PUSH_ENVIRONMENT)
    made = Workers(own_deployment, tmp_path)
    yield made
    for worker in made.started:
        worker.process.kill()


async def test_workers_that_are_killed_whole_write_one_answer_exactly(
    workers: Workers, own_deployment: Deployment
) -> None:
    """With -9 at ten random points; the broker gives the message to the next worker each time."""
    session = own_deployment.session()
    points = sorted(random.sample(range(1, len(WHOLE)), 10))
    asked = await workers.ask(session, falls=points)
    for _ in points:
        await has_ended(workers.start())
    workers.start()
    assert await result_of(asked) == "".join(WHOLE)
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "".join(WHOLE)]


async def test_revoked_task_stops_its_run(workers: Workers, own_deployment: Deployment) -> None:
    """With `terminate`; what was written stays."""
    session = own_deployment.session()
    asked = await workers.ask(session, silent=[7])
    await is_silent(workers.start())
    await asyncio.to_thread(asked.revoke, terminate=True)
    with pytest.raises(TaskRevokedError):
        await result_of(asked)
    await eventually(lambda: stopped(session), "the run is stopped")
    assert text_of(await answer_of(session)) == "".join(WHOLE[:7])


async def test_shutdown_of_a_worker_leaves_its_run_to_the_next(
    workers: Workers, own_deployment: Deployment
) -> None:
    """A cold one, which ends its child by the signal of a revoke."""
    session = own_deployment.session()
    worker = workers.start()
    asked = await workers.ask(session, silent=[7])
    await is_silent(worker)
    worker.process.send_signal(signal.SIGQUIT)
    await has_ended(worker)
    await is_silent(workers.start())
    assert not await stopped(session)
    assert await session.stop()
    with pytest.raises(TaskRevokedError):
        await result_of(asked)
    assert text_of(await answer_of(session)) == "".join(WHOLE[:7])


async def test_stop_of_a_person_while_no_worker_lives_revokes_the_task(
    workers: Workers, own_deployment: Deployment
) -> None:
    """The next worker does not write on."""
    session = own_deployment.session()
    worker = workers.start()
    asked = await workers.ask(session, falls=[7])
    await has_ended(worker)
    stopping = asyncio.create_task(session.stop())
    workers.start()
    with pytest.raises(TaskRevokedError):
        await result_of(asked)
    assert len(await stopping) == 1
    assert text_of(await answer_of(session)) == "".join(WHOLE[:7])
