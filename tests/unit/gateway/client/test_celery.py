"""Blocks of Celery's tasks, with a run that only notes how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from celery.app.trace import trace_task
from celery.exceptions import Reject

from midstream.celery import PICK_UP_S, lease_of, task_run
from midstream.client import FencedError, MidstreamSync, RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)


class NotedRun:
    """Stands for a run, and for the client that makes it.

    Attributes:
        ended: what was said about its end, in order.
    """

    outcome: str | None = None
    is_stopped = False
    ends_as_stopped = False

    def __init__(self, refusal: Exception | None = None) -> None:
        self.ended: list[object] = []
        self.claimed: dict[str, Any] = {}
        self._refusal = refusal

    def run(self, session_id: str, **claimed: Any) -> NotedRun:
        self.claimed = claimed
        return self

    def __enter__(self) -> NotedRun:
        if self._refusal is not None:
            raise self._refusal
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        self.ended.append(kind)
        return isinstance(error, RunStopped)

    def flush(self) -> None:
        self.ended.append("stored")

    def suspend(self, lease_s: float) -> None:
        self.ended.append(lease_s)

    def end_as_failed(self) -> None:
        self.ended.append("failed")


def do_nothing() -> None:
    """A task."""


def traced(run: NotedRun, body: Callable[[Any], None], *, retries: int = 0, **options: Any) -> str:
    """Trace a task with a block, as a worker's child does; return its state."""
    client: Any = run

    def answer(task: Any) -> None:
        with task_run(client, "s", text="Go."):
            body(task)

    name = f"{body.__name__}-{id(body)}"
    made: Any = APP.task(bind=True, shared=False, name=name, **options)
    request = {"id": name, "retries": retries, "delivery_info": {}}
    _, info, _, _ = trace_task(made(answer), name, (), {}, request, app=APP)
    return "SUCCESS" if info is None else str(info.state)


def raising(error: BaseException) -> Callable[[Any], None]:
    """Return a body that raises."""

    def body(task: Any) -> None:
        raise error

    return body


def test_task_names_its_run_and_counts_its_attempts() -> None:
    """By its id, and from one on."""
    run = NotedRun()
    assert traced(run, lambda task: None, retries=2) == "SUCCESS"
    assert run.ended == [None]
    assert run.claimed["key"].startswith("<lambda>")
    assert (run.claimed["attempt"], run.claimed["on_error"]) == (3, "leave")


@pytest.mark.parametrize(
    ("error", "options", "state", "ended"),
    [
        (LookupError(), {}, "FAILURE", ["stored", "failed", LookupError]),
        (
            LookupError(),
            {"autoretry_for": (LookupError,), "default_retry_delay": 5},
            "RETRY",
            ["stored", 5 + PICK_UP_S, LookupError],
        ),
        (Reject(requeue=True), {}, "REJECTED", ["stored", Reject]),
        (Reject(requeue=False), {}, "REJECTED", ["stored", "failed", Reject]),
        (FencedError(), {}, "FAILURE", ["stored", "failed", FencedError]),
    ],
    ids=["fails", "is retried", "is put back", "is thrown away", "raises our error itself"],
)
def test_end_of_a_run_waits_for_that_of_its_task(
    error: Exception, options: Any, state: str, ended: list[object]
) -> None:
    """What was written is stored before a retry is sent."""
    run = NotedRun()
    assert traced(run, raising(error), **options) == state
    assert run.ended == ended


def test_exit_of_the_process_ends_the_block_at_once() -> None:
    """The worker shuts down; nobody says that the task is revoked."""
    run = NotedRun()
    with pytest.raises(SystemExit):
        traced(run, raising(SystemExit()))
    assert run.ended == [SystemExit]


def test_person_s_stop_revokes_the_task() -> None:
    """Its state is no failure, and it is not tried again."""
    run = NotedRun()
    run.outcome = "stopped"
    run.is_stopped = True
    assert traced(run, raising(RunStopped()), autoretry_for=(Exception,)) == "IGNORED"
    assert str(APP.AsyncResult(run.claimed["key"]).state) == "REVOKED"


def test_overtaken_attempt_leaves_the_state_of_the_task_alone() -> None:
    """It is that of the later attempt."""
    run = NotedRun(refusal=FencedError())
    assert traced(run, lambda task: None, autoretry_for=(Exception,)) == "IGNORED"
    assert APP.AsyncResult(run.claimed["key"]).state == "PENDING"


def test_run_outside_of_a_task_needs_a_key_of_its_own() -> None:
    """There is no id to name it by."""
    with pytest.raises(RuntimeError, match="no task of Celery"):
        task_run(MidstreamSync("http://127.0.0.1:1"), "s", text="Go.")


@pytest.mark.parametrize(
    ("broker", "options", "is_late", "lease_s"),
    [
        ("redis://h", {}, False, None),
        ("redis://h", {}, True, 3600 + PICK_UP_S),
        ("redis://h", {"visibility_timeout": 90}, True, 90 + PICK_UP_S),
        (["sqs://h"], {}, True, 3600 + PICK_UP_S),
        (["amqp://h", "amqp://i"], {}, True, PICK_UP_S),
        (None, {}, True, PICK_UP_S),
    ],
    ids=["acknowledged early", "late", "a time of its own", "sqs", "amqp", "the default broker"],
)
def test_lease_lasts_until_the_broker_gives_the_message_to_another(
    broker: Any, options: Any, is_late: bool, lease_s: float | None
) -> None:
    """Only if it does."""
    app = Celery("tests", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = options
    task: Any = app.task(name="answer", shared=False, acks_late=is_late)(do_nothing)
    assert lease_of(task) == lease_s
