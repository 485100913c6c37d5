"""Runs that activities of Temporal write: `activity_run`. Needs the extra `temporal`.

    @activity.defn
    async def answer(question: Question) -> str:
        async with activity_run(client, question.session, text=question.text) as run:
            async for word in model(run.messages, after=text_of(run.message)):
                await run.text(word)
        return text_of(run.message)

An activity may be tried many times, on other machines, while an earlier attempt still writes. Each
attempt takes the same run over, continues its message, and fences the attempts before it.

    an exception, a timeout, its worker's death    the run is left to the next attempt
    its workflow is cancelled                      the run ends as stopped
    a person stops the run                         the activity fails for good, as `RunStopped`
    the key is another question's, the run has     the activity fails for good, by the error's
    failed, or is a later attempt's                name
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from midstream.client import (
    FencedError,
    KeyReusedError,
    ReplayMismatchError,
    RunEndedError,
    RunStopped,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from midstream.client import Midstream, Run
    from midstream.client.attempt import OnRetry
    from midstream.client.run import OnExit
    from midstream.protocol.requests import OnActive

FINAL: Final = (FencedError, KeyReusedError, ReplayMismatchError, RunEndedError)
"""Errors that another attempt would meet, too."""

HEARTBEATS: Final = 3
"""Heartbeats within a heartbeat timeout."""

PICK_UP_S: Final = 60.0
"""Time in which a worker begins an attempt that is due."""

DEFAULT_POLICY: Final = RetryPolicy()
"""Of an activity without one of its own, as Temporal's server fills it in."""

MOST_ATTEMPTS: Final = 1000
"""Attempts at an activity that are told from those at one that is scheduled a millisecond later."""

LONGEST_FACTOR: Final = 100
"""The longest interval of a policy that names none, as a multiple of its first one."""


def activity_run(
    client: Midstream,
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
    steering: bool = False,
    lease_s: float | None = None,
) -> ActivityRun:
    """Return the run of the current activity, for an `async with` block.

    The block heartbeats by itself if the activity has a heartbeat timeout, with the run's id as the
    details. Give it one: only heartbeats bring a cancellation.

    Args:
        key: of the run. None: the workflow's run and the activity. A workflow that is retried as a
            whole has another one, and answers the question once more. Activities that share a key
            write one message: all but the last one with `on_exit="leave"`.
        on_retry: `continue`: the body writes what follows `run.message`. `replay`: it writes the
            same answer again; what is stored is compared, and not sent.
        lease_s: how long the run waits for the next attempt, or activity. None: see `lease_of`.

    The other arguments are those of `Midstream.run`.
    """
    info = activity.info()
    if lease_s is None:
        lease_s = lease_of(info)
    run = client.run(
        session_id,
        key=key or f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}",
        text=text,
        message=message,
        user=user,
        agent=agent,
        on_retry=on_retry,
        on_error="leave",
        on_exit=on_exit,
        on_active=on_active,
        attempt=info.attempt if key is None else _attempt_of(info),
        steering=steering,
        lease_s=lease_s,
    )
    return ActivityRun(run, max(lease_s or 0.0, PICK_UP_S) if on_exit == "leave" else None)


def _attempt_of(info: activity.Info) -> int:
    """Return a number that grows over the attempts at all activities that share a key."""
    return int(info.scheduled_time.timestamp() * 1000) * MOST_ATTEMPTS + info.attempt


def lease_of(info: activity.Info) -> float | None:
    """Return how long the next attempt at an activity may be in coming; None if there is none.

    Its server notices a worker's death by the timeout of heartbeats, waits for an interval of the
    retry policy, and gives the attempt to the next worker that asks.
    """
    policy = info.retry_policy or DEFAULT_POLICY
    if 0 < policy.maximum_attempts <= info.attempt:
        return None
    first_s = policy.initial_interval.total_seconds()
    longest = policy.maximum_interval
    longest_s = longest.total_seconds() if longest else first_s * LONGEST_FACTOR
    noticed = info.heartbeat_timeout or info.start_to_close_timeout
    noticed_s = 0.0 if noticed is None else noticed.total_seconds()
    return noticed_s + max(first_s, longest_s) + PICK_UP_S


class ActivityRun:
    """The block of a run, with the heartbeats and the errors of an activity."""

    def __init__(self, run: Run, left_for_s: float | None) -> None:
        """Use `activity_run` instead.

        Args:
            left_for_s: how long the run waits for the next activity that writes it; None: its
                message ends with this one.
        """
        self._run = run
        self._left_for_s = left_for_s
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Run:
        """Claim the run.

        Raises:
            ApplicationError: not to be tried again: see FINAL.
            MidstreamError: see `Run.open`.
        """
        self._beating = _begin_heartbeats(self._run)
        try:
            return await self._run.__aenter__()
        except BaseException as error:
            await self._end_heartbeats()
            _raise_final(error)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the run, or leave it to the next attempt.

        Raises:
            ApplicationError: a person has stopped the run; or see FINAL.
        """
        if error is None and self._left_for_s is not None:
            self._run.suspend(self._left_for_s)
        is_cancelled = isinstance(error, asyncio.CancelledError) and _is_cancelled_by_workflow()
        if is_cancelled:
            self._run.end_as_stopped()
        try:
            is_ours = await self._run.__aexit__(kind, error, traceback)
        except Exception as failure:
            _raise_final(failure)
            raise
        finally:
            await self._end_heartbeats()
        if self._run.outcome == "stopped" and not is_cancelled:
            raise _final(RunStopped("a person has stopped the answer"))
        return is_ours

    async def _end_heartbeats(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})


def _begin_heartbeats(run: Run) -> asyncio.Task[None] | None:
    timeout = activity.info().heartbeat_timeout
    if timeout is None or timeout.total_seconds() <= 0:
        return None
    interval_s = timeout.total_seconds() / HEARTBEATS

    async def beat() -> None:
        while True:
            activity.heartbeat({"run": run.id} if run.id else None)
            await asyncio.sleep(interval_s)

    return asyncio.create_task(beat(), name="heartbeats of a run")


def _is_cancelled_by_workflow() -> bool:
    """Whether the workflow asks for the end: not a shutdown, a pause, or a timeout."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def _raise_final(error: BaseException) -> None:
    if isinstance(error, FINAL):
        raise _final(error) from error


def _final(error: Exception) -> ApplicationError:
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=True)
