"""Attempts at one run: repeated, continued, skipped, fenced off, cut off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.client import Midstream, ReplayMismatchError, Run, RunEndedError, RunSkipped
from tests.support.processes import eventually
from tests.support.push import answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio


async def test_job_that_runs_again_after_its_end_is_skipped(
    client: Midstream, session: Session
) -> None:
    """At the first method call or `await` of its body; `outcome` is known from the beginning."""
    async with client.run(session.id, key="job", text="Once.") as run:
        await run.text("Once.")
    said = []
    for first in ("say", "wait", "look"):
        async with client.run(session.id, key="job", text="Once.") as again:
            said.append((first, again.id, again.outcome))
            if first == "say":
                with pytest.raises(RunSkipped):
                    await again.text("Twice.")
                await again.flush()
            elif first == "wait":
                await asyncio.Event().wait()
            continue
        assert again.outcome == "finished"
    assert said == [(first, run.id, "finished") for first in ("say", "wait", "look")]
    assert text_of(await answer_of(session)) == "Once."


async def test_retry_repeats_what_is_stored_and_goes_on(
    client: Midstream, session: Session
) -> None:
    """Ids are the same in each attempt, so that what is stored is not sent again."""

    async def attempt(words: int, *, crash: bool) -> Run:
        run = client.run(session.id, key="job", text="Go.", on_error="leave")
        async with run:
            async with run.tool("look", {}) as call:
                await call.output("seen")
            for word in range(words):
                await run.text(f"{word} ")
            await run.source("https://example.com")
            if crash:
                raise ConnectionError
        return run

    for words in (2, 2):
        with pytest.raises(ConnectionError):
            await attempt(words, crash=True)
    run = await attempt(2, crash=False)
    assert run.outcome == "finished"
    message = await answer_of(session)
    assert text_of(message) == "0 1 "
    assert len(message["parts"]) == 5
    assert (await session.whole_run(run.id)).types.count("text-delta") == 2


@pytest.mark.parametrize("words", [["a", "c"], ["a"]])
async def test_retry_that_says_something_else_is_told_so(
    client: Midstream, session: Session, words: list[str]
) -> None:
    """Also a shorter answer is refused; nothing wrong is written, and the error gives advice."""
    with pytest.raises(ConnectionError):
        async with client.run(session.id, key="job", text="Go.", on_error="leave") as run:
            await run.text("a")
            await run.text("b")
            raise ConnectionError
    with pytest.raises(ReplayMismatchError, match='on_retry="continue"'):
        async with client.run(session.id, key="job", text="Go.") as run:
            for word in words:
                await run.text(word)
    assert (run.outcome, text_of(await answer_of(session))) == ("failed", "ab")


async def test_retry_continues_after_what_is_stored(client: Midstream, session: Session) -> None:
    """It sees the message so far, and the open part goes on with its next word."""
    whole = "one two three four"
    for _ in range(4):
        try:
            async with client.run(
                session.id, key="job", text="Go.", on_retry="continue", on_error="leave"
            ) as run:
                rest = whole[len(text_of(run.message)) :]
                await run.text(rest[:5])
                if rest[5:]:
                    raise ConnectionError
        except ConnectionError:
            continue
    assert run.outcome == "finished"
    parts = (await answer_of(session))["parts"]
    assert [part.get("text") for part in parts] == [None, whole]


async def test_earlier_attempt_is_fenced_and_ends_silently(
    client: Midstream, session: Session
) -> None:
    """Wherever it waits; the later one's answer is the answer."""
    waiting = asyncio.Event()

    async def earlier() -> Run:
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("first, ")
            await run.flush()
            waiting.set()
            await asyncio.Event().wait()
        return run

    task = asyncio.create_task(earlier())
    await waiting.wait()
    async with client.run(session.id, key="job", text="Go.", on_retry="continue") as later:
        await later.text("second")
        assert (await task).outcome == "fenced"
    assert later.outcome == "finished"
    assert text_of(await answer_of(session)) == "first, second"


async def test_attempt_that_hears_late_of_the_later_one_ends_silently_too(
    client: Midstream, session: Session
) -> None:
    """The other has ended the run by then: nothing is left to write, and nothing is wrong."""
    first = client.run(session.id, key="job", text="Go.", on_retry="continue")
    async with first:
        assert first._delivery is not None
        await first._delivery.leave()  # nothing is heard for a while
        async with client.run(session.id, key="job", text="Go.") as later:
            await later.text("later")
        first._delivery.begin()
        await asyncio.Event().wait()
    assert (first.outcome, later.outcome) == ("finished", "finished")
    assert text_of(await answer_of(session)) == "later"


async def test_worker_that_was_cut_off_for_too_long_is_told(
    client: Midstream, session: Session
) -> None:
    """Its run was closed as a dead worker's: what it said since is lost, and that is an error."""
    with pytest.raises(RunEndedError) as ended:
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("Half")
            await run.flush()
            assert run._delivery is not None
            await run._delivery.leave()  # as if nothing of it got through

            async def is_closed() -> bool:
                return bool((await session.snapshot())["runs"][-1].get("outcome"))

            await eventually(is_closed, "the run is closed")
            run._delivery.begin()
            await run.text(" lost")
            await asyncio.Event().wait()
    assert (ended.value.outcome, run.outcome) == ("interrupted", "interrupted")
    assert text_of(await answer_of(session)) == "Half"
