"""Runs that tasks of Celery write: `task_run`. Needs the extra `celery`.

    @app.task(acks_late=True, reject_on_worker_lost=True, autoretry_for=(ConnectionError,))
    def answer(session: str, question: str) -> str:
        with task_run(client, session, text=question) as run:
            for word in model(run.messages, after=text_of(run.message)):
                run.text(word)
        return text_of(run.message)

A task may be tried many times, by other workers, while an earlier attempt still writes. Each
attempt takes the same run over, continues its message, and fences the attempts before it.

    the task is retried, or its message comes again    the run is left to the next attempt
    it fails for good                                  the run fails
    it is revoked, with `terminate`                    the run ends as stopped
    a person stops the run                             the task is revoked
    a later attempt has claimed the run                the task's state is left to that attempt
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from celery import current_app, signals
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from kombu.exceptions import KombuError

from midstream.client import (
    FencedError,
    KeyReusedError,
    MidstreamError,
    ReplayMismatchError,
    RunEndedError,
    RunOver,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from celery import Task
    from celery.app.task import Context

    from midstream.client import MidstreamSync, SyncRun
    from midstream.client.attempt import OnRetry
    from midstream.client.run import OnExit
    from midstream.protocol.requests import OnActive

FINAL: Final = (KeyReusedError, ReplayMismatchError, RunEndedError)
"""Errors that another attempt would meet, too: for a task's `dont_autoretry_for`."""

PICK_UP_S: Final = 60.0
"""Time in which a worker begins an attempt that is due."""

VISIBILITY_S: Final = 3600.0
"""Time after which most brokers give a dead worker's message to another one, by default."""

ASK_S: Final = 1.0
"""Time in which a worker says which tasks are revoked."""

STOPPED: Final = "a person has stopped the answer"


def task_run(
    client: MidstreamSync,
    session_id: str,
    *,
    text: str | None = None,
    message: Mapping[str, Any] | None = None,
    key: str | None = None,
    user: str | None = None,
    agent: str | None = None,
    on_retry: OnRetry = "continue",
    on_active: OnActive = "refuse",
    on_exit: OnExit = "end",
    attempt: int | None = None,
    steering: bool = False,
    lease_s: float | None = None,
) -> TaskRun:
    """Return the run of the current task, for a `with` block.

    Args:
        key: of the run. None: the task's id, which its retries share. Tasks that share a key write
            one message: all but the last one with `on_exit="leave"`.
        on_retry: `continue`: the body writes what follows `run.message`. `replay`: it writes the
            same answer again; what is stored is compared, and not sent.
        attempt: its number. None: the retries so far; with a `key`, attempts are not counted, and
            the last one to claim the run writes it.
        lease_s: how long the run waits for the next attempt after a worker's death. None: see
            `lease_of`. A retry says itself when it comes.

    The other arguments are those of `Midstream.run`. RuntimeError: no task runs in this thread.
    """
    task = _current_task()
    if attempt is None and key is None:
        attempt = task.request.retries + 1
    run = client.run(
        session_id,
        key=key or str(task.request.id),
        text=text,
        message=message,
        user=user,
        agent=agent,
        on_retry=on_retry,
        on_error="leave",
        on_exit=on_exit,
        on_active=on_active,
        attempt=attempt,
        steering=steering,
        lease_s=lease_of(task) if lease_s is None else lease_s,
    )
    return TaskRun(run, task)


def _current_task() -> Task[Any, Any]:
    task: Task[Any, Any] | None = current_app.current_task
    if task is None or task.request.called_directly or task.request.id is None:
        raise RuntimeError(
            "unable to name the run; no task of Celery is running here. Use `client.run` with a key"
        )
    return task


def lease_of(task: Task[Any, Any]) -> float | None:
    """Return how long a dead worker's task may be in coming back; None if it does not.

    Only a task with `acks_late` does: the broker gives its message to another worker once the
    visibility timeout is over, or, with AMQP, once the connection is lost.
    """
    if not task.acks_late:
        return None
    conf = task.app.conf
    url = conf.broker_read_url or conf.broker_url or "amqp"
    is_amqp = str(url if isinstance(url, str) else url[0]).startswith(("amqp", "pyamqp"))
    options = conf.broker_transport_options or {}
    default_s = 0.0 if is_amqp else VISIBILITY_S
    return float(options.get("visibility_timeout", default_s)) + PICK_UP_S


class TaskRun:
    """The block of a run, whose end fits what becomes of the task."""

    def __init__(self, run: SyncRun, task: Task[Any, Any]) -> None:
        """Use `task_run` instead."""
        self._run = run
        self._task = task

    def __enter__(self) -> SyncRun:
        """Claim the run.

        Raises:
            Ignore: a later attempt has claimed it.
            MidstreamError: see `Run.open`.
        """
        try:
            return self._run.__enter__()
        except FencedError as error:
            raise Ignore(str(error)) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the run, or leave it to the next attempt.

        An exception tells nothing yet: the task may be retried because of it. The run is kept open
        until the task's end (`settle`).

        Raises:
            Ignore: a person has stopped the run, or a later attempt has claimed it.
            MidstreamError: the run could not be written.
        """
        is_interrupt = isinstance(error, SoftTimeLimitExceeded) or (
            error is not None and not isinstance(error, Exception)
        )
        if is_interrupt and self._is_revoked():
            self._run.end_as_stopped()
        elif is_interrupt and not isinstance(error, Exception):
            pass  # the worker shuts down
        elif isinstance(error, Exception) and self._is_stored():
            _unsettled.setdefault(self._task.request, []).append((self, error))
            return False
        return self._close(error)

    def settle(self, error: Exception, state: str | None, result: object) -> None:
        """End the run of a block that an exception has ended, as the task has ended."""
        if isinstance(result, Retry):
            self._run.suspend(_seconds_until(result) + PICK_UP_S)
        elif (
            not (isinstance(result, Reject) and getattr(result, "requeue", False))
            and state is not None
        ):
            self._run.end_as_failed()
        with suppress(Ignore):
            self._close(error)

    def _close(self, error: BaseException | None) -> bool:
        is_cancelled = self._run.ends_as_stopped
        try:
            is_ours = self._run.__exit__(type(error) if error else None, error, None)
        except FencedError as fenced:
            raise Ignore(str(fenced)) from fenced
        if self._run.outcome == "stopped" and not is_cancelled:
            self._revoke()
            raise Ignore(STOPPED) from error
        return is_ours

    def _is_stored(self) -> bool:
        """Store what is written, before a retry is sent; False: the run takes no more."""
        with suppress(RunOver, MidstreamError):
            self._run.flush()
        return not self._run.is_stopped

    def _revoke(self) -> None:
        """Let the task's state say that a person has stopped it."""
        request = self._task.request
        if request.id is not None and not request.is_eager:
            is_kept = not (request.ignore_result or self._task.ignore_result)
            self._task.backend.mark_as_revoked(
                request.id, STOPPED, request=request, store_result=is_kept
            )

    def _is_revoked(self) -> bool:
        """Whether the task is revoked: its worker knows, unless that shuts down."""
        request, control = self._task.request, self._task.app.control
        if request.hostname is None:
            return False
        with suppress(KombuError, OSError):
            asked = control.inspect(destination=[request.hostname], timeout=ASK_S, limit=1)
            return request.id in (asked.revoked() or {}).get(request.hostname, ())
        return False


def _seconds_until(retry: Retry) -> float:
    when = retry.when
    if isinstance(when, datetime):
        return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return float(when or 0)


_unsettled: Final[WeakKeyDictionary[Context, list[tuple[TaskRun, Exception]]]] = WeakKeyDictionary()
"""Blocks that an exception has ended, by their task's request."""


def _settle(task: Task[Any, Any], state: str | None, retval: object, **_: object) -> None:
    for run, error in _unsettled.pop(task.request, ()):
        run.settle(error, state, retval)


signals.task_postrun.connect(_settle, weak=False)
