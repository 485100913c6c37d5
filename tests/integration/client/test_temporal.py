"""Activities of Temporal that write runs, each attempt in Temporal's own test environment."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from midstream.temporal import PICK_UP_S, activity_run, lease_of
from tests.support.processes import eventually
from tests.support.push import answer_of
from tests.support.recipes import pasted
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from midstream.client import Midstream
    from midstream.client.run import OnExit
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

WHOLE = [f"word-{number} " for number in range(20)]
FOR_EVER = len(WHOLE) + 1


class Job:
    """An activity that writes an answer, word by word.

    Attributes:
        waiting: it has written what it is to write in this attempt, and waits.
        outcome: of its run.
    """

    def __init__(self, client: Midstream, session: Session, text: str = "Go.") -> None:
        self.waiting = asyncio.Event()
        self.outcome: str | None = None
        self._client = client
        self._session = session
        self._text = text

    async def attempt(self, until: int, *, then: str = "return") -> str:
        """Write on until so many words are there; then return, raise or wait."""
        async with activity_run(self._client, self._session.id, text=self._text) as run:
            for word in WHOLE[len(text_of(run.message).split()) : until]:
                await run.text(word)
            await run.flush()
            if then == "raise":
                raise ConnectionError
            if then == "wait":
                self.waiting.set()
                await asyncio.Event().wait()
        self.outcome = run.outcome
        return text_of(run.message)


class Part:
    """An activity that writes the part of a message with its number, of three."""

    def __init__(self, client: Midstream, session: Session, number: int) -> None:
        self._client = client
        self._session = session
        self._number = number

    async def attempt(self, *, fails: bool = False) -> str:
        """Write the part, unless it is there, and return the run's outcome."""
        on_exit: OnExit = "leave" if self._number < 3 else "end"
        run = activity_run(
            self._client, self._session.id, text="Go.", key="order 7", on_exit=on_exit
        )
        async with run as opened:
            text = f"part {self._number}"
            if text not in text_of(opened.message):
                await opened.step()
                await opened.text(text)
            if fails:
                raise ConnectionError
        return opened.outcome or "open"


class Attempts:
    """Runs attempts of one activity as a worker does."""

    def __init__(self, **info: Any) -> None:
        self.beats: list[Any] = []
        self._info = {"workflow_id": "order 7", "workflow_run_id": "first", **info}

    def environment(self, number: int) -> ActivityEnvironment:
        """Return the environment of an attempt."""
        made = ActivityEnvironment()
        made.info = dataclasses.replace(made.info, attempt=number, **self._info)
        made.on_heartbeat = lambda *details: self.beats.append(details)
        return made

    async def run(self, number: int, work: Coroutine[Any, Any, str]) -> str:
        """Run an attempt to its end."""

        async def worked() -> str:
            return await work

        return await self.environment(number).run(worked)


async def test_attempts_write_one_message(client: Midstream, session: Session) -> None:
    """Each continues where the one before has ended; one that comes after the end is skipped."""
    job, attempts = Job(client, session), Attempts()
    for number, until in enumerate((3, 3, 11), 1):
        with pytest.raises(ConnectionError):
            await attempts.run(number, job.attempt(until, then="raise"))
    assert await attempts.run(4, job.attempt(FOR_EVER)) == "".join(WHOLE)
    # The engine did not hear of the success, and tries once more.
    assert await attempts.run(5, job.attempt(FOR_EVER)) == "".join(WHOLE)
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "".join(WHOLE)]


async def test_recipe_of_the_page_makes_one_message_of_two_activities(
    client: Midstream, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them is tried twice."""
    parts = pasted("docs/durable-execution.md", "parts", monkeypatch).Parts(client)
    started = datetime.now(UTC)
    for second, attempt, activity in ((0, 1, parts.look), (0, 2, parts.look), (1, 1, parts.answer)):
        scheduled = Attempts(scheduled_time=started + timedelta(seconds=second))
        await scheduled.environment(attempt).run(activity, session.id, "Do rivers move?")
    types = [part["type"] for part in (await answer_of(session))["parts"]]
    assert types == ["step-start", "tool-look", "step-start", "text"]


async def test_recipe_of_the_page_is_an_activity(
    client: Midstream, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands in docs/durable-execution.md; its first attempt fails in mid-answer."""
    failures = iter([5, None])

    async def words_after(question: str, said: str) -> AsyncIterator[str]:
        fails_after = next(failures)
        for word in WHOLE[len(said.split()) : fails_after]:
            yield word
        if fails_after is not None:
            raise ConnectionError

    recipe = pasted("docs/durable-execution.md", "answers", monkeypatch)
    recipe.words_after = words_after
    answers, question = recipe.Answers(client), recipe.Question(session.id, "Go.")
    with pytest.raises(ConnectionError):
        await Attempts().environment(1).run(answers.answer, question)
    assert await Attempts().environment(2).run(answers.answer, question) == "".join(WHOLE)
    assert text_of(await answer_of(session)) == "".join(WHOLE)


async def test_next_run_of_a_workflow_asks_its_own_question(
    client: Midstream, session: Session
) -> None:
    """Continued as new, with the same activity: no question is lost."""
    for run_id, text in (("first", "Go."), ("second", "And then?")):
        job = Job(client, session, text)
        await Attempts(workflow_run_id=run_id).run(1, job.attempt(FOR_EVER))
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == [
        "Go.", "".join(WHOLE), "And then?", "".join(WHOLE),
    ]  # fmt: skip


async def test_activities_of_one_workflow_write_one_message(
    client: Midstream, session: Session
) -> None:
    """With one key: the retries of an earlier one do not fence the later one, which it fences."""
    scheduled_at = datetime.now(UTC)
    late: list[Any] = []
    for number, last_attempt in enumerate((3, 1, 2), 1):
        activities = Attempts(
            activity_id=f"part {number}", scheduled_time=scheduled_at + timedelta(seconds=number)
        )
        part = Part(client, session, number)
        for attempt in range(1, last_attempt):
            with pytest.raises(ConnectionError):
                await activities.run(attempt, part.attempt(fails=True))
        await activities.run(last_attempt, part.attempt())
        late.append(activities.run(1, part.attempt()))
    assert [part.get("text") for part in (await answer_of(session))["parts"]] == [
        None, "part 1", None, "part 2", None, "part 3",
    ]  # fmt: skip
    for one in late:
        assert await one == "finished"


async def test_slow_activity_does_not_write_beside_a_later_one(
    client: Midstream, session: Session
) -> None:
    """Its last attempt is behind the first one of the later activity."""
    first, second = (Part(client, session, number) for number in (1, 2))
    earlier, later = (
        Attempts(scheduled_time=datetime(2026, 1, 1, 12, minute, tzinfo=UTC)) for minute in (1, 2)
    )
    await earlier.run(9, first.attempt())
    with pytest.raises(ConnectionError):
        await later.run(1, second.attempt(fails=True))
    with pytest.raises(ApplicationError, match="later attempt"):
        await earlier.run(10, first.attempt())


async def test_slow_attempt_does_not_cut_off_the_later_one(
    client: Midstream, session: Session
) -> None:
    """Whether it has claimed before, or claims afterwards; it is not tried again either."""
    slow, quick, attempts = Job(client, session), Job(client, session), Attempts()
    first = asyncio.create_task(attempts.run(1, slow.attempt(5, then="wait")))
    await slow.waiting.wait()
    second = asyncio.create_task(attempts.run(2, quick.attempt(9, then="wait")))
    await quick.waiting.wait()
    third = Job(client, session)
    for late in (first, asyncio.create_task(attempts.run(1, third.attempt(FOR_EVER)))):
        with pytest.raises(ApplicationError, match="later attempt") as failed:
            await late
        assert (failed.value.type, failed.value.non_retryable) == ("FencedError", True)
    assert not second.done()
    assert await attempts.run(3, third.attempt(FOR_EVER)) == "".join(WHOLE)
    with pytest.raises(ApplicationError):
        await second


@pytest.mark.parametrize("alive", [True, False])
async def test_stop_of_a_person_is_final(client: Midstream, session: Session, alive: bool) -> None:
    """Heard by the attempt that writes, or by the next one."""
    job, attempts = Job(client, session), Attempts()
    then = "wait" if alive else "raise"
    writing = asyncio.create_task(attempts.run(1, job.attempt(5, then=then)))
    if alive:
        await job.waiting.wait()
    else:
        with pytest.raises(ConnectionError):
            await writing
    stopping = asyncio.create_task(session.stop())
    if not alive:

        async def is_stopping() -> bool:
            return (await session.snapshot())["runs"][-1].get("stoppedBy") is not None

        await eventually(is_stopping, "the stop is recorded")
        writing = asyncio.create_task(attempts.run(2, job.attempt(FOR_EVER)))
    with pytest.raises(ApplicationError, match="stopped") as failed:
        await writing
    assert (failed.value.type, failed.value.non_retryable) == ("RunStopped", True)
    assert len(await stopping) == 1
    assert text_of(await answer_of(session)) == "".join(WHOLE[:5])


@pytest.mark.parametrize("cancelled", [True, False])
async def test_cancelled_workflow_stops_the_run_and_a_shutdown_leaves_it(
    client: Midstream, session: Session, cancelled: bool
) -> None:
    """What was written stays in either case."""
    job, attempts = Job(client, session), Attempts()
    environment = attempts.environment(1)
    writing = asyncio.create_task(environment.run(job.attempt, 5, then="wait"))
    await job.waiting.wait()
    details = ActivityCancellationDetails(cancel_requested=cancelled, worker_shutdown=not cancelled)
    environment.cancel(details)
    with pytest.raises(asyncio.CancelledError):
        await writing
    outcome = (await session.snapshot())["runs"][-1].get("outcome")
    assert outcome == ("stopped" if cancelled else None)
    if cancelled:
        assert text_of(await answer_of(session)) == "".join(WHOLE[:5])
    else:
        assert await attempts.run(2, job.attempt(FOR_EVER)) == "".join(WHOLE)


async def test_block_heartbeats_by_itself(client: Midstream, session: Session) -> None:
    """Also while the body is silent; with the run's id for whoever looks at the activity."""
    job, attempts = Job(client, session), Attempts(heartbeat_timeout=timedelta(seconds=0.3))
    writing = asyncio.create_task(attempts.run(1, job.attempt(5, then="wait")))
    await job.waiting.wait()
    run_id = (await session.snapshot())["runs"][-1]["id"]

    async def has_beaten() -> bool:
        return attempts.beats.count(({"run": run_id},)) >= 3

    await eventually(has_beaten, "it has beaten three times")
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    beats = len(attempts.beats)
    assert await Attempts().run(2, job.attempt(FOR_EVER)) == "".join(WHOLE)
    assert len(attempts.beats) == beats


async def test_key_of_another_question_fails_for_good(client: Midstream, session: Session) -> None:
    """The same activity of the same workflow, with other words: not tried again."""
    await Attempts().run(1, Job(client, session).attempt(FOR_EVER))
    with pytest.raises(ApplicationError, match="another question") as failed:
        await Attempts().run(2, Job(client, session, "Come.").attempt(FOR_EVER))
    assert (failed.value.type, failed.value.non_retryable) == ("KeyReusedError", True)


@pytest.mark.parametrize(
    ("policy", "attempt", "lease_s"),
    [
        (None, 1, 20 + 100 + PICK_UP_S),
        (RetryPolicy(initial_interval=timedelta(seconds=4)), 9, 20 + 400 + PICK_UP_S),
        (RetryPolicy(maximum_interval=timedelta(seconds=9)), 9, 20 + 9 + PICK_UP_S),
        (RetryPolicy(maximum_attempts=2), 1, 20 + 100 + PICK_UP_S),
        (RetryPolicy(maximum_attempts=2), 2, None),
    ],
    ids=["default", "no longest", "longest", "one left", "none left"],
)
async def test_lease_lasts_until_the_next_attempt(
    policy: RetryPolicy | None, attempt: int, lease_s: float | None
) -> None:
    """As the server notices a death by heartbeats, and waits as the policy says."""
    environment = Attempts(heartbeat_timeout=timedelta(seconds=20)).environment(attempt)
    assert lease_of(dataclasses.replace(environment.info, retry_policy=policy)) == lease_s


async def test_silent_run_waits_for_the_attempt_that_is_to_come(
    client: Midstream, session: Session
) -> None:
    """Longer than an ordinary lease; a person's stop ends it all the same."""
    with pytest.raises(ConnectionError):
        await Attempts().run(1, Job(client, session).attempt(3, then="raise"))

    async def is_silent() -> bool:
        return bool((await session.snapshot())["runs"][-1].get("silent"))

    await eventually(is_silent, "the run is silent", 60)
    assert len(await session.stop()) == 1
    with pytest.raises(ApplicationError, match="stopped"):
        await Attempts().run(2, Job(client, session).attempt(FOR_EVER))
