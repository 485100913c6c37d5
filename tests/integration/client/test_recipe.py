"""The recipe of docs/agents.md, run as workflow engines and queues run activities and jobs.

That is: at least once, with the same id each time; after an exception, after the loss of the
worker, and also when a worker that lives was only slow to be heard of; cancelled when the
workflow is.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from midstream.client import FencedError
from tests.support.processes import REPOSITORY
from tests.support.push import answer_of, client_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

WORDS = [f"word-{number} " for number in range(30)]


class WorkerLost(Exception):
    """The attempt ends where it is; its activity is tried again."""


class Model:
    """Words after those that were said; an attempt may fail, or hang, after some of them."""

    def __init__(self) -> None:
        self.fail_after: int | None = None
        self.hang_after: int | None = None
        self.hanging = asyncio.Event()

    async def words_after(self, question: str, said: str) -> AsyncIterator[str]:
        """Yield the rest of the answer."""
        for count, word in enumerate(WORDS[len(said.split()) :]):
            if count == self.fail_after:
                raise WorkerLost
            if count == self.hang_after:
                self.hanging.set()
                await asyncio.Event().wait()
            yield word
            await asyncio.sleep(0)


def recipe(**names: Any) -> Callable[[str, str, str], Awaitable[str | None]]:
    """Return the function `answer` of the page, with these names about it."""
    page = (REPOSITORY / "docs" / "agents.md").read_text()
    (block,) = re.findall(r"^```python\n(async def answer\(job_id.*?)^```$", page, re.M | re.S)
    assert len(block.splitlines()) <= 15
    exec(block, names)  # noqa: S102 - ours, as readers paste it
    answer: Callable[[str, str, str], Awaitable[str | None]] = names["answer"]
    return answer


async def retried(attempt: Callable[[], Awaitable[str | None]], attempts: int) -> str | None:
    """Try until it returns, as a retry policy does."""
    for _ in range(attempts):
        try:
            return await attempt()
        except WorkerLost:
            await asyncio.sleep(0.05)
    raise AssertionError("no attempt returned")


async def test_activity_that_fails_again_and_again_answers_exactly(pushed: Deployment) -> None:
    """Each attempt continues after the chunks of the one before."""
    session, model = pushed.session(), Model()
    model.fail_after = 7
    async with client_of(pushed) as client:
        answer = recipe(client=client, words_after=model.words_after)
        outcome = await retried(lambda: answer("flow-1.7", session.id, "Go."), attempts=6)
        assert outcome == "finished"
        # The engine did not hear of the success, and tries once more.
        assert await answer("flow-1.7", session.id, "Go.") == "finished"
    assert text_of(await answer_of(session)) == "".join(WORDS)


async def test_activity_that_was_only_slow_is_fenced_by_its_next_attempt(
    pushed: Deployment,
) -> None:
    """The engine has given its worker up; its attempt does not complete over the other's answer."""
    session, slow, quick = pushed.session(), Model(), Model()
    slow.hang_after = 5
    async with client_of(pushed) as client, client_of(pushed) as other:
        first = recipe(client=client, words_after=slow.words_after)
        second = recipe(client=other, words_after=quick.words_after)
        attempt = asyncio.ensure_future(first("flow-2.1", session.id, "Go."))
        await slow.hanging.wait()
        assert await second("flow-2.1", session.id, "Go.") == "finished"
        with pytest.raises(FencedError):
            await attempt
    assert len((await answer_of(session))["parts"]) == 2


async def test_cancelled_activity_leaves_its_run_to_the_next_attempt(pushed: Deployment) -> None:
    """The shutdown of a worker cancels its activities; another worker continues."""
    session, model = pushed.session(), Model()
    model.hang_after = 5
    async with client_of(pushed) as client:
        answer = recipe(client=client, words_after=model.words_after)
        attempt = asyncio.ensure_future(answer("flow-3.1", session.id, "Go."))
        await model.hanging.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        model.hang_after = None
        assert await answer("flow-3.1", session.id, "Go.") == "finished"
    assert text_of(await answer_of(session)) == "".join(WORDS)
