"""Attempts at one run: repeated, continued, skipped, fenced off, cut off."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal

import pytest

from midstream.client import (
    FencedError,
    KeyReusedError,
    Midstream,
    ReplayMismatchError,
    Run,
    RunEndedError,
    RunSkipped,
)
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
        assert text_of(again.message) == "Once."
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


async def test_earlier_attempt_is_fenced_and_told_so(client: Midstream, session: Session) -> None:
    """Wherever it waits; the later one's answer is the answer."""
    waiting = asyncio.Event()
    first = client.run(session.id, key="job", text="Go.")

    async def earlier() -> None:
        async with first as run:
            await run.text("first, ")
            await run.flush()
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(earlier())
    await waiting.wait()
    async with client.run(session.id, key="job", text="Go.", on_retry="continue") as later:
        await later.text("second")
        with pytest.raises(FencedError):
            await task
        assert first.outcome == "fenced"
    assert later.outcome == "finished"
    assert text_of(await answer_of(session)) == "first, second"


async def test_attempt_that_hears_late_of_the_later_one_is_fenced_too(
    client: Midstream, session: Session
) -> None:
    """The other has ended the run by then: what this one has written is not the answer."""
    first = client.run(session.id, key="job", text="Go.", on_retry="continue")
    with pytest.raises(FencedError):
        async with first:
            assert first._delivery is not None
            await first._delivery.leave()  # nothing is heard for a while
            async with client.run(session.id, key="job", text="Go.") as later:
                await later.text("later")
            first._delivery.begin()
            await asyncio.Event().wait()
    assert (first.outcome, later.outcome) == ("fenced", "finished")
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


async def test_slow_attempt_that_claims_after_a_later_one_is_fenced(
    client: Midstream, session: Session
) -> None:
    """Its number says so; one that claims once more, after a lost answer, is not."""
    body: dict[str, Any] = {"key": "job", "text": "Go.", "on_retry": "continue"}
    async with client.run(session.id, attempt=2, **body) as second:
        await second.text("second")
        await second.flush()
        with pytest.raises(FencedError):
            async with client.run(session.id, attempt=1, **body):
                pytest.fail("an earlier attempt has taken the run over")
    async with client.run(session.id, attempt=1, **body) as late:
        pass
    assert (second.outcome, late.outcome) == ("finished", "finished")
    assert text_of(late.message) == "second"


async def test_attempt_that_claims_again_takes_its_own_run_over(
    client: Midstream, session: Session
) -> None:
    """Its number is the one that was seen; an attempt without one is the newest."""
    said = ""
    for number in (2, 2, None, 3):
        run = client.run(
            session.id, key="job", text="Go.", on_retry="continue", on_error="leave", attempt=number
        )
        with contextlib.suppress(ConnectionError):
            async with run:
                assert text_of(run.message) == said
                said += f"{number} "
                await run.text(f"{number} ")
                if number != 3:
                    raise ConnectionError
    assert text_of(await answer_of(session)) == "2 2 None 3 "


@pytest.mark.parametrize(
    "other", [{"text": "Come."}, {"text": "Go.", "agent": "poet"}, {"text": "Go. "}]
)
@pytest.mark.parametrize("ended", [True, False])
async def test_key_of_another_question_is_refused(
    client: Midstream, session: Session, other: dict[str, Any], ended: bool
) -> None:
    """While its run is open, and when it has ended: no question is lost without a word."""
    async with client.run(session.id, key="job", text="Go.", agent="bard") as run:
        await run.text("Gone.")
        if not ended:
            await run.flush()
            with pytest.raises(KeyReusedError, match="another question"):
                await client.run(session.id, key="job", **other).open()
    if ended:
        with pytest.raises(KeyReusedError, match="another question") as refused:
            await client.run(session.id, key="job", **other).open()
        assert refused.value.details["runId"] == run.id
    assert text_of(await answer_of(session)) == "Gone."


async def test_any_text_is_a_key(client: Midstream, session: Session) -> None:
    """One that cannot be an id, too, and each is another."""
    for key in ("order 7/2 (Jürgen)", "order 7/2 (Jurgen)", "日本", "x" * 3_000):
        for _ in range(2):
            async with client.run(session.id, key=key, text=key) as run:
                await run.text(key[:40])
        assert text_of(run.message) == key[:40]
    assert len((await session.snapshot())["messages"]) == 8


async def test_job_that_has_failed_is_no_success_of_its_next_attempt(
    client: Midstream, session: Session
) -> None:
    """Nothing was lost without a word: neither attempt completes."""
    for error in (ConnectionError, RunEndedError):
        with pytest.raises(error):
            async with client.run(session.id, key="job", text="Go.") as run:
                await run.text("Half")
                raise ConnectionError
    assert run.outcome == "failed"


@pytest.mark.parametrize("on_retry", ["replay", "continue"])
async def test_attempt_after_an_interrupted_one_completes_the_answer(
    client: Midstream, session: Session, on_retry: Literal["replay", "continue"]
) -> None:
    """By a run of its own, under the same key: nothing is said twice, and nothing is missing."""
    ended = await interrupted(client, session, "One two")
    async with client.run(session.id, key="job", text="Go.", on_retry=on_retry, attempt=2) as run:
        said = text_of(run.message)
        assert said == ("One two" if on_retry == "continue" else "")
        await run.text("One two three"[len(said) :])
    assert (run.outcome, run.id != ended) == ("finished", True)
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "One two three"]
    for attempt in (None, 1, 3):  # the key is the newest run's now
        async with client.run(session.id, key="job", text="Go.", attempt=attempt) as again:
            pass
        assert (again.id, again.outcome) == (run.id, "finished")


async def test_interrupted_run_that_something_newer_has_followed_is_told(
    client: Midstream, session: Session
) -> None:
    """Its answer stays as it is, and the job does not complete."""
    await interrupted(client, session, "One two")
    async with client.run(session.id, key="next", text="Next.") as newer:
        await newer.text("Newer.")
    with pytest.raises(RunEndedError) as ended:
        await client.run(session.id, key="job", text="Go.").open()
    assert ended.value.outcome == "interrupted"


async def test_attempt_before_the_interrupted_one_is_fenced(
    client: Midstream, session: Session
) -> None:
    """However late it comes."""
    await interrupted(client, session, "One two", attempt=2)
    with pytest.raises(FencedError):
        await client.run(session.id, key="job", text="Go.", attempt=1).open()


async def interrupted(client: Midstream, session: Session, words: str, *, attempt: int = 1) -> str:
    """Let an attempt write these words and be silent until its run is closed; return its id."""
    with pytest.raises(RunEndedError):
        async with client.run(session.id, key="job", text="Go.", attempt=attempt) as run:
            await run.text(words)
            await run.flush()
            assert run._delivery is not None
            await run._delivery.leave()  # as if nothing of it got through

            async def is_closed() -> bool:
                return bool((await session.snapshot())["runs"][-1].get("outcome"))

            await eventually(is_closed, "the run is closed")
            run._delivery.begin()
            await asyncio.Event().wait()
    return run.id
