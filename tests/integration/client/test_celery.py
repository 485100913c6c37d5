"""Tasks of Celery that write runs, each attempt traced as in a child of Celery's worker."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, states
from celery.app.trace import trace_task
from celery.exceptions import Reject, SoftTimeLimitExceeded

from midstream.celery import FINAL, PICK_UP_S, task_run
from midstream.client import MidstreamSync
from midstream.ids import SessionId
from midstream.store.keys import Keys
from tests.support.celery_worker import WHOLE as ANSWER
from tests.support.celery_worker import CeleryWorker, app_at, broker_of
from tests.support.push import AGENT_KEY, answer_of
from tests.support.recipes import pasted
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from celery import Task

    from midstream.client import SyncRun
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

WHOLE = [f"word-{number} " for number in range(20)]


class Job:
    """A task that writes words; `body` is what this attempt does after them.

    Attributes:
        app: Celery's, with a broker and a result backend in memory, which all tests share.
        task: for options.
    """

    def __init__(self, client: MidstreamSync, session: Session, **options: Any) -> None:
        self.app = Celery(
            "tests", broker="memory://", backend="cache+memory://", set_as_current=False
        )
        self.body: Callable[[SyncRun], None] = lambda run: None
        self.until = len(WHOLE)
        self.question = "Go."
        self.id = session.id

        def answer(task: Task[Any, Any]) -> str:
            with task_run(client, session.id, text=self.question) as run:
                for word in WHOLE[len(text_of(run.message).split()) : self.until]:
                    run.text(word)
                self.body(run)
            return text_of(run.message)

        made: Any = self.app.task(bind=True, name="answer", shared=False, **options)
        self.task: Any = made(answer)

    async def attempt(self, retries: int = 0, *, until: int = len(WHOLE), body: Any = None) -> Any:
        """Trace an attempt as a worker's child does; return the state and value of the task."""

        def traced() -> None:
            request = {"id": self.id, "retries": retries, "delivery_info": {}, "hostname": "w@h"}
            trace_task(self.task, self.id, (), {}, request, app=self.app)

        self.until, self.body = until, body or (lambda run: None)
        await asyncio.to_thread(traced)
        return self.task.AsyncResult(self.id)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is there to say what is revoked."""
    monkeypatch.setattr("midstream.celery.ASK_S", 0.05)


@pytest.fixture
def client_of_tasks(pushed: Deployment) -> Iterator[MidstreamSync]:
    """The client of a worker's process."""
    with MidstreamSync([gateway.at.url for gateway in pushed.gateways], key=AGENT_KEY) as opened:
        yield opened


def do_nothing() -> None:
    """A task."""


def failing(error: BaseException) -> Any:
    """Return the end of an attempt that raises."""

    def body(run: SyncRun) -> None:
        raise error

    return body


def fails_after(words: int) -> Iterator[str]:
    """Yield the first words of the answer; then its source is gone."""
    yield from WHOLE[:words]
    raise ConnectionError


async def outcome_of(session: Session) -> str | None:
    """Return how the session's newest run has ended; None: it is open."""
    outcome: str | None = (await session.snapshot())["runs"][-1].get("outcome")
    return outcome


async def test_retries_write_one_message(
    client_of_tasks: MidstreamSync, pushed: Deployment, session: Session
) -> None:
    """Each continues where the one before has ended; one that comes after the end is skipped."""
    job = Job(client_of_tasks, session, autoretry_for=(ConnectionError,), default_retry_delay=100)
    for retries, until in enumerate((3, 3, 11)):
        result = await job.attempt(retries, until=until, body=failing(ConnectionError()))
        assert result.state == states.RETRY
        meta = pushed.redis.client.hgetall(Keys().session(SessionId(session.id)).meta)
        assert 100 < int(meta[b"term"]) / 1000 - PICK_UP_S + 1 <= 101
    for retries in (3, 3):  # the broker brings the message once more
        assert (await job.attempt(retries)).get() == "".join(WHOLE)
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "".join(WHOLE)]


async def test_retry_by_hand_leaves_the_run(
    client_of_tasks: MidstreamSync, session: Session
) -> None:
    """Inside the block, at a time of its own."""
    job = Job(client_of_tasks, session)

    def again(run: SyncRun) -> None:
        raise job.task.retry(eta=datetime.now(UTC) + timedelta(minutes=1))

    assert (await job.attempt(until=3, body=again)).state == states.RETRY
    assert await outcome_of(session) is None
    assert (await job.attempt(1)).get() == "".join(WHOLE)


@pytest.mark.parametrize(
    ("error", "options", "state"),
    [
        (LookupError(), {}, states.FAILURE),
        (
            ConnectionError(),
            {"autoretry_for": (ConnectionError,), "max_retries": 0},
            states.FAILURE,
        ),
        (SoftTimeLimitExceeded(), {}, states.FAILURE),
    ],
    ids=["not retried", "no retries left", "time limit"],
)
async def test_task_that_fails_for_good_fails_its_run(
    client_of_tasks: MidstreamSync,
    session: Session,
    error: Exception,
    options: Any,
    state: str,
) -> None:
    """At once; people do not wait for an attempt that nobody makes."""
    result = await Job(client_of_tasks, session, **options).attempt(until=3, body=failing(error))
    assert result.state == state
    assert await outcome_of(session) == "failed"
    assert text_of(await answer_of(session)) == "".join(WHOLE[:3])


@pytest.mark.parametrize("error", [SystemExit(), Reject(requeue=True)], ids=["exit", "requeue"])
async def test_shutdown_leaves_the_run(
    client_of_tasks: MidstreamSync, session: Session, error: BaseException
) -> None:
    """The broker gives the message to another worker."""
    job = Job(client_of_tasks, session, acks_late=True)
    with suppress(SystemExit):
        await job.attempt(until=3, body=failing(error))
    assert await outcome_of(session) is None
    assert (await job.attempt()).get() == "".join(WHOLE)


async def test_revoked_task_stops_its_run(
    client_of_tasks: MidstreamSync, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker says so, which asks for the end by the same signal as a shutdown does."""
    job = Job(client_of_tasks, session)

    class Inspect:
        def __init__(self, **options: Any) -> None:
            assert options["destination"] == ["w@h"]

        def revoked(self) -> Any:
            return {"w@h": [job.id]}

    monkeypatch.setattr(job.app.control, "inspect", Inspect)
    with suppress(SystemExit):
        await job.attempt(until=3, body=failing(SystemExit()))
    assert await outcome_of(session) == "stopped"
    assert text_of(await answer_of(session)) == "".join(WHOLE[:3])


async def test_stop_of_a_person_revokes_the_task(
    client_of_tasks: MidstreamSync, session: Session
) -> None:
    """Also one that would be retried."""
    loop = asyncio.get_running_loop()
    job = Job(client_of_tasks, session, autoretry_for=(Exception,))

    def stopped(run: SyncRun) -> None:
        asyncio.run_coroutine_threadsafe(session.stop(), loop)
        while True:
            run.text("")

    assert (await job.attempt(until=3, body=stopped)).state == states.REVOKED
    assert await outcome_of(session) == "stopped"
    assert (await job.attempt(1)).state == states.REVOKED
    assert text_of(await answer_of(session)) == "".join(WHOLE[:3])


async def test_slow_attempt_leaves_the_state_to_the_later_one(
    client_of_tasks: MidstreamSync, session: Session
) -> None:
    """Whether it has claimed before, or claims afterwards."""
    slow, quick = Job(client_of_tasks, session), Job(client_of_tasks, session)
    claimed, overtaken = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(run: SyncRun) -> None:
        run.flush()
        loop.call_soon_threadsafe(claimed.set)
        asyncio.run_coroutine_threadsafe(overtaken.wait(), loop).result(60)
        while True:
            run.text("")

    first = asyncio.create_task(slow.attempt(until=3, body=wait))
    await claimed.wait()
    assert (await quick.attempt(1)).get() == "".join(WHOLE)
    overtaken.set()
    assert (await first).get() == "".join(WHOLE)
    assert (await slow.attempt(0)).get() == "".join(WHOLE)


async def test_key_of_another_question_fails_the_task(
    client_of_tasks: MidstreamSync, session: Session
) -> None:
    """As an error of the list that a task does not retry for."""
    job = Job(client_of_tasks, session, autoretry_for=(Exception,), dont_autoretry_for=FINAL)
    await job.attempt(until=3, body=failing(ConnectionError()))
    job.question = "Come."
    result = await job.attempt(1)
    assert (result.state, type(result.result).__name__) == (states.FAILURE, "KeyReusedError")


async def test_recipe_of_the_page_is_a_task(
    client_of_tasks: MidstreamSync, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands in docs/durable-execution.md; its first attempt fails in mid-answer."""
    recipe = pasted("docs/durable-execution.md", "tasks", monkeypatch)
    recipe.app.conf.update(broker_url="memory://", result_backend="cache+memory://")
    recipe.client = client_of_tasks
    recipe.words_after = lambda question, said: fails_after(5) if not said else WHOLE[5:]
    for retries, state in enumerate((states.RETRY, states.SUCCESS)):
        request = {"id": session.id, "retries": retries, "delivery_info": {}}
        await asyncio.to_thread(
            trace_task, recipe.answer, session.id, (session.id, "Go."), {}, request, app=recipe.app
        )
        assert recipe.answer.AsyncResult(session.id).state == state
    assert text_of(await answer_of(session)) == "".join(WHOLE)


async def test_worker_whose_child_is_killed_writes_one_answer_exactly(
    pushed: Deployment, session: Session, tmp_path: Path
) -> None:
    """Celery's own worker over Redis: its child dies by -9, and a later attempt fails."""
    worker = CeleryWorker(pushed, tmp_path / "worker")
    points = random.sample(range(1, len(ANSWER)), 2)
    asking = app_at(broker_of(pushed)).signature(
        "answer", (session.id,), {"dies": points[:1], "fails": points[1:]}
    )
    try:
        result = await asyncio.to_thread(asking.delay)
        assert await asyncio.to_thread(result.get, 60) == "".join(ANSWER)
    finally:
        worker.process.kill()
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "".join(ANSWER)]
