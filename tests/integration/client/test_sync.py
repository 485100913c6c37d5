"""The client without an event loop: the same runs."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from midstream.client import (
    MidstreamSync,
    RefusedError,
    RunEndedError,
    RunStopped,
    SyncRun,
    ToolError,
)
from tests.support.processes import REPOSITORY
from tests.support.proxy import faulty_proxy
from tests.support.push import AGENT_KEY, answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio


async def work(
    pushed: Deployment,
    session: Session,
    body: Callable[[SyncRun], None],
    agent: str | None = None,
) -> SyncRun:
    """Write a run in a thread that has no event loop."""

    def write() -> SyncRun:
        urls = [gateway.at.url for gateway in pushed.gateways]
        with MidstreamSync(urls, key=AGENT_KEY) as client:
            with client.run(session.id, key="job", text="Go.", agent=agent) as run:
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
    """Code that calls no method of the run cannot be interrupted; it can ask `is_stopped`."""
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


async def test_body_that_raises_ends_the_run_and_no_repeated_job_completes(
    pushed: Deployment, session: Session
) -> None:
    """As it is with the asynchronous client."""

    def fails(run: SyncRun) -> None:
        run.text("Half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work(pushed, session, fails)
    with pytest.raises(RunEndedError):
        await work(pushed, session, lambda run: run.text("Again"))
    assert text_of(await answer_of(session)) == "Half"


async def test_refused_claim_and_a_closed_client_are_said_plainly(
    pushed: Deployment, session: Session
) -> None:
    """No thread hangs on."""
    with pytest.raises(RefusedError):
        await work(pushed, session, everything, agent="no name")
    client = MidstreamSync(pushed.gateways[0].at.url, key=AGENT_KEY)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="with MidstreamSync"):
            client.run(session.id, key="job", text="Go.")
        client.open().close()
        client.close()


async def ran(program: str, *arguments: str) -> tuple[str, str]:
    """Run a worker's program; return what it printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.stdout, done.stderr


IN_A_LOOP = """
import asyncio, sys
from midstream.client import MidstreamSync

url, key, session = sys.argv[1:]

async def main():
    with MidstreamSync(url, key=key) as client:
        with client.run(session, key="job", text="Go.") as run:
            run.text("In a loop.")
    await asyncio.sleep(0)
    print(run.outcome)

asyncio.run(main())
"""


async def test_client_works_where_an_event_loop_runs(pushed: Deployment, session: Session) -> None:
    """A notebook's cell, an async view: it blocks the loop, and leaves it as it was."""
    printed = await ran(IN_A_LOOP, pushed.gateways[0].at.url, AGENT_KEY, session.id)
    assert printed == ("finished\n", "")
    assert text_of(await answer_of(session)) == "In a loop."


async def test_client_opens_and_closes_without_a_block(
    pushed: Deployment, session: Session
) -> None:
    """As often as one likes; each thread may use it."""
    client = MidstreamSync(pushed.gateways[0].at.url, key=AGENT_KEY)
    sessions = [session.id, pushed.session().id, pushed.session().id]

    def write(name: str) -> SyncRun:
        with client.run(name, key="job", text="Go.") as run:
            run.text("Said.")
        return run

    for number in range(2):
        assert client.open() is client.open()
        runs = await asyncio.gather(*(asyncio.to_thread(write, name) for name in sessions))
        assert {run.outcome for run in runs} == {"finished"}, number
        await asyncio.to_thread(client.close)
    assert not [each for each in threading.enumerate() if each.name == "midstream client"]


async def test_call_of_a_client_that_is_closed_meanwhile_ends(
    pushed: Deployment, session: Session
) -> None:
    """With a sentence, in the thread that waits."""
    client = MidstreamSync(pushed.gateways[0].at.url, key=AGENT_KEY).open()
    waiting = threading.Event()

    def write() -> None:
        with client.run(session.id, key="job", text="Go.", on_error="leave") as run:
            run._run._delivery.room = _never  # type: ignore[union-attr, method-assign]
            waiting.set()
            run.text("x" * 2_000_000)

    writing = asyncio.create_task(asyncio.to_thread(write))
    await asyncio.to_thread(waiting.wait)
    await asyncio.to_thread(client.close)
    with pytest.raises(RuntimeError, match=r"closed by another thread|is not open"):
        await writing


async def _never() -> None:
    await asyncio.Event().wait()


FORKING = """
import os, sys, threading
from midstream.client import MidstreamSync

url, key, session, other, third = sys.argv[1:]
client = MidstreamSync(url, key=key).open()
early = os.fork()  # before the first run, as servers fork their workers
if early == 0:
    with client.run(other, key="child", text="Go.") as run:
        run.text("Of a worker.")
    os._exit(0 if run.outcome == "finished" else 1)
with client.run(session, key="parent", text="Go.") as run:
    run.text("Before, ")
    run.flush()
    child = os.fork()  # with a run open, its thread, its connections
    if child == 0:
        try:
            run.text("from the child")
        except RuntimeError as error:
            assert "belongs to the process that opened it" in str(error), error
        else:
            os._exit(2)
        with client.run(third, key="child", text="Go.") as own:
            own.text("Of the child.")
        assert own.outcome == "finished"
        client.close()
        sys.exit(0)  # leaves the parent's block, and not its run
    run.text("meanwhile, ")
    run.flush()
    assert [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in (early, child)] == [0, 0]
    run.text("and after.")
assert run.outcome == "finished"
client.close()
print([each.name for each in threading.enumerate()])
"""


async def test_client_and_its_runs_survive_a_fork(pushed: Deployment, session: Session) -> None:
    """The child has its own connections; the parent's run is the parent's."""
    others = pushed.session(), pushed.session()
    names = [each.id for each in (session, *others)]
    printed = await ran(FORKING, pushed.gateways[0].at.url, AGENT_KEY, *names)
    assert printed == ("['MainThread']\n", "")
    said = [text_of(await answer_of(each)) for each in (session, *others)]
    assert said == ["Before, meanwhile, and after.", "Of a worker.", "Of the child."]


INTERRUPTED = """
import signal, sys, threading
from midstream.client import MidstreamSync

url, key, session = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run behind a shell
try:
    with MidstreamSync(url, key=key) as client, client.run(session, key="job", text="Go."):
        print("begun", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


async def test_claim_that_is_interrupted_leaves_no_open_run(
    pushed: Deployment, session: Session
) -> None:
    """Ctrl-C while the gateway has the claim, and its answer is on the way."""
    async with faulty_proxy(pushed.gateways[0].at.port) as proxy:
        proxy.delay(b"POST /api/agent/runs HTTP")
        url = f"http://127.0.0.1:{proxy.port}"
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", INTERRUPTED, url, AGENT_KEY, session.id),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await proxy.delays()
        worker.send_signal(signal.SIGINT)
        proxy.arrive()
        async with asyncio.timeout(50):
            stdout, stderr = await worker.communicate()
    assert (stdout, stderr) == (b"interrupted\n", b"")
    assert [(r["state"], r["outcome"]) for r in (await session.snapshot())["runs"]] == [
        ("ended", "failed")
    ]
