"""The client without an event loop: the same runs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from gateway.client import MidstreamSync, RefusedError, RunStopped, SyncRun, ToolError
from tests.support.push import AGENT_KEY, answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio


async def work(
    pushed: Deployment, session: Session, body: Callable[[SyncRun], None], **options: str
) -> SyncRun:
    """Write a run in a thread that has no event loop."""

    def write() -> SyncRun:
        urls = [gateway.at.url for gateway in pushed.gateways]
        with MidstreamSync(urls, key=AGENT_KEY) as client:
            with client.run(session.id, key="job", text="Go.", **options) as run:
                body(run)
            return run

    return await asyncio.to_thread(write)


def everything(run: SyncRun) -> None:
    """Say one of each."""
    run.status("looking")
    run.reasoning("Hm.")
    with run.tool("weather", {"city": "Rome"}) as call:
        call.output("blue")
    with pytest.raises(ToolError), run.tool("roll") as call:
        call.input("{}")
        call.output(0, preliminary=True)
        raise ToolError("It fell off the table.")
    run.text("It is ")
    run.text("blue.")
    run.source("https://example.com")
    run.document("Atlas", "application/pdf")
    run.file("data:text/plain,hi", "text/plain")
    run.data("chart", [1])
    run.metadata({"model": "m"})
    run.step()
    run.chunk({"type": "text-start", "id": "own"})
    run.flush()
    run.finish_reason = "length"
    assert run.finish_reason == "length"
    assert (run.outcome, run.is_stopped) == (None, False)
    assert run.message["id"] == run.message_id
    assert [message["role"] for message in run.messages] == ["user"]


async def test_worker_without_an_event_loop_says_everything(
    pushed: Deployment, session: Session
) -> None:
    """The answer is kept as the asynchronous client's is; no thread is left."""
    before = threading.active_count()
    run = await work(pushed, session, everything)
    assert run.outcome == "finished"
    assert threading.active_count() <= before + 1  # the one that the test's work ran in
    message = await answer_of(session)
    assert [part["type"] for part in message["parts"]] == [
        "step-start", "reasoning", "tool-weather", "step-start", "tool-roll", "step-start", "text",
        "source-url", "source-document", "file", "data-chart", "step-start", "text",
    ]  # fmt: skip
    assert message["parts"][4]["errorText"] == "It fell off the table."
    assert text_of(message) == "It is blue."
    assert (await session.whole_run(run.id)).chunks[-1]["finishReason"] == "length"
    assert run.session_id == session.id


async def test_stop_ends_the_body_at_the_next_thing_it_says(
    pushed: Deployment, session: Session
) -> None:
    """What waits for nothing of ours cannot be interrupted; it can ask."""
    claimed = threading.Event()

    def body(run: SyncRun) -> None:
        run.text("So far")
        run.flush()
        claimed.set()
        assert stop_heard.wait(20)
        while not run.is_stopped:
            threading.Event().wait(0.01)
        with pytest.raises(RunStopped):
            run.text("more")
        run.text("more")
        raise AssertionError("the body must have ended")

    stop_heard = threading.Event()
    working = asyncio.create_task(work(pushed, session, body))
    await asyncio.to_thread(claimed.wait)
    stopping = asyncio.create_task(session.stop())
    stop_heard.set()
    run = await working
    assert (run.outcome, await stopping) == ("stopped", [run.id])
    assert text_of(await answer_of(session)) == "So far"


async def test_body_that_raises_ends_the_run_and_a_repeated_job_is_skipped(
    pushed: Deployment, session: Session
) -> None:
    """As it is with the asynchronous client."""

    def fails(run: SyncRun) -> None:
        run.text("Half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work(pushed, session, fails)
    again = await work(pushed, session, lambda run: run.text("Again"))
    assert again.outcome == "failed"
    assert text_of(await answer_of(session)) == "Half"


async def test_refused_claim_and_a_closed_client_are_said_plainly(
    pushed: Deployment, session: Session
) -> None:
    """No thread hangs on."""
    with pytest.raises(RefusedError):
        await work(pushed, session, everything, agent="no name")
    client = MidstreamSync(pushed.gateways[0].at.url, key=AGENT_KEY)
    with pytest.raises(RuntimeError, match="with MidstreamSync"):
        client.run(session.id, key="job", text="Go.")
