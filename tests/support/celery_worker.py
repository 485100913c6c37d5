"""A worker of Celery, with a task that writes an answer word by word: `CeleryWorker` starts it.

The process of a task dies at the words that the task is told, or with its whole worker.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from celery import Celery

from midstream.celery import FINAL, task_run
from midstream.client import MidstreamSync
from tests.support.processes import ChildProcess
from tests.support.push import PUSH_ENVIRONMENT
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from celery import Task

    from midstream.client import SyncRun
    from tests.support.fixtures import Deployment

WHOLE: Final = [f"word-{number} " for number in range(100)]
VISIBILITY_S: Final = 0.3
"""A dead worker's message is given to the next one after this time."""


def app_at(broker: str) -> Celery:
    """Return the app whose broker and results are in a Redis."""
    made = Celery("answers", broker=broker, backend=broker, set_as_current=False)
    made.conf.update(
        broker_transport_options={"visibility_timeout": VISIBILITY_S},
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
    )
    return made


def broker_of(deployment: Deployment) -> str:
    """Return the address of a database beside the gateways'."""
    return f"{deployment.redis.url.removesuffix('/0')}/1"


class CeleryWorker:
    """A worker in processes of its own: Celery's parent, and one child."""

    def __init__(self, deployment: Deployment, log: Path) -> None:
        urls = ",".join(gateway.at.url for gateway in deployment.gateways)
        command = [
            *(sys.executable, "-m", "celery", "-A", "tests.support.celery_worker:app", "worker"),
            *("--pool", "prefork", "--concurrency", "1", "--loglevel", "info"),
            *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        ]
        environment = {
            "BROKER": broker_of(deployment),
            "GATEWAYS": urls,
            **PUSH_ENVIRONMENT,
        }
        self.process = ChildProcess(f"celery {log.name}", command, log, environment)


def answer(task: Task[Any, Any], session: str, **points: Sequence[int]) -> str:
    """Write the answer, and come to an end at each of the points, once.

    Args:
        points: by how it ends there, see `_end`; `silent`: it goes on, and writes nothing more.
    """
    with task_run(client, session, text="Go.") as run:
        said = len(text_of(run.message).split())
        for count, word in enumerate(WHOLE[said:], said):
            if count in points.get("silent", ()):
                _be_silent(run)
            if count != said:
                _end(run, {how for how, counts in points.items() if count in counts})
            run.text(word)
    return text_of(run.message)


def _be_silent(run: SyncRun) -> None:
    run.flush()
    print("silent", flush=True)  # noqa: T201
    while True:
        run.text("")
        time.sleep(0.01)


def _end(run: SyncRun, how: set[str]) -> None:
    """End as a task that `fails`, a process that `dies`, or a worker that `falls`."""
    if how:
        run.flush()
    if "fails" in how:
        raise ConnectionError
    if "falls" in how:
        os.kill(os.getppid(), signal.SIGKILL)
    if how & {"dies", "falls"}:
        os.kill(os.getpid(), signal.SIGKILL)


if "BROKER" in os.environ and "GATEWAYS" in os.environ:
    app = app_at(os.environ["BROKER"])
    client = MidstreamSync(os.environ["GATEWAYS"].split(","), key=os.environ["WORKER_KEY"]).open()
    made: Any = app.task(
        bind=True,
        name="answer",
        acks_late=True,
        reject_on_worker_lost=True,
        autoretry_for=(ConnectionError,),
        dont_autoretry_for=FINAL,
        default_retry_delay=0,
        max_retries=None,
    )
    made(answer)
