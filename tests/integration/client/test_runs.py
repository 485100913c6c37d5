"""Runs that a worker writes with the client: everything that it can say, and how they end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway.client import (
    Midstream,
    MidstreamError,
    RefusedError,
    ReplayMismatchError,
    Run,
    RunEndedError,
    RunError,
    RunSkipped,
    RunStopped,
    ToolError,
    UnavailableError,
)
from protocol.errors import IllegalChunkError
from tests.support.processes import eventually
from tests.support.push import AGENT_KEY, answer_of, client_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

SECRET = "a detail of the worker's own"  # noqa: S105


@pytest.fixture
async def client(pushed: Deployment) -> AsyncIterator[Midstream]:
    """A worker's client, of both gateways."""
    async with client_of(pushed) as opened:
        yield opened


@pytest.fixture
def session(pushed: Deployment) -> Session:
    """A new session."""
    return pushed.session()


async def outcome(session: Session) -> object:
    """How the session's last run has ended, as the gateway says."""
    return (await session.snapshot())["runs"][-1].get("outcome")


async def test_worker_says_everything_that_an_answer_has(
    client: Midstream, session: Session
) -> None:
    """One method a thing; what is kept is a message in the AI SDK's form."""
    async with client.run(session.id, key="job", text="Weather?", agent="forecaster") as run:
        await run.status("looking")
        await run.reasoning("Let me ", provider_metadata={"p": {"s": 1}})
        await run.reasoning("see.")
        async with run.tool("weather", {"city": "Rome"}, call_id="call-1") as call:
            await call.output({"sky": "…"}, preliminary=True)
            await call.output({"sky": "blue"})
        streamed = run.tool("roll")
        await streamed.input('{"sides"')
        await streamed.input(":6}")
        await streamed.output(4)
        await run.text("It is ")
        await run.text("blue.")
        await run.source("https://example.com", "Example")
        await run.document("Atlas", "application/pdf", filename="atlas.pdf")
        await run.file("data:text/plain,hi", "text/plain")
        await run.data("chart", [1, 2], part_id="c")
        await run.data("chart", [1, 2, 3], part_id="c")
        await run.metadata({"model": "m"})
        await run.step()
        await run.chunk({"type": "text-start", "id": "own"})
        await run.chunk('{"type":"text-delta","id":"own","delta":"!"}')
        await run.chunk({"type": "finish", "messageMetadata": {"cost": 1}})
        said = run.message
        assert run.outcome is None
    assert run.outcome == "finished"
    message = await answer_of(session)
    assert message["id"] == run.message_id == said["id"]
    assert [part["type"] for part in message["parts"]] == [
        "step-start", "reasoning", "tool-weather", "step-start", "tool-roll", "step-start", "text",
        "source-url", "source-document", "file", "data-chart", "step-start", "text",
    ]  # fmt: skip
    assert [part["type"] for part in said["parts"]] == [p["type"] for p in message["parts"]]
    by_type = {part["type"]: part for part in message["parts"]}
    assert by_type["tool-weather"]["output"] == {"sky": "blue"}
    assert (by_type["tool-roll"]["input"], by_type["tool-roll"]["output"]) == ({"sides": 6}, 4)
    assert by_type["data-chart"]["data"] == [1, 2, 3]
    assert text_of(message) == "It is blue.!"
    assert message["metadata"] == {"model": "m", "cost": 1}
    seen = await session.whole_run(run.id)
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert (await session.snapshot())["runs"][-1]["agent"] == "forecaster"


async def test_tokens_are_sent_in_batches(client: Midstream, session: Session) -> None:
    """Thousands of words take few requests, and arrive whole."""
    sent = 0
    post = client._gateways.post

    async def counted(target: str, *args: Any, **options: Any) -> bytes:
        nonlocal sent
        sent += "/chunks?" in target
        return await post(target, *args, **options)

    client._gateways.post = counted  # type: ignore[method-assign]
    async with client.run(session.id, key="job", text="Count.") as run:
        for number in range(5_000):
            await run.text(f"{number} ")
            if number % 100 == 0:
                await asyncio.sleep(0)
    assert text_of(await answer_of(session)) == "".join(f"{n} " for n in range(5_000))
    assert 0 < sent <= 10


async def test_worker_waits_while_too_much_is_unsent(client: Midstream, session: Session) -> None:
    """Memory is bounded: a method returns once there is room."""
    async with client.run(session.id, key="job", text="Much.") as run:
        for _ in range(40):
            await run.text("x" * 100_000)
            assert run._delivery is not None
            assert run._delivery._pending_bytes < 1_300_000
    assert len(text_of(await answer_of(session))) == 4_000_000


async def test_body_that_raises_ends_the_run_with_a_general_sentence(
    client: Midstream, session: Session
) -> None:
    """The exception is the worker's to see; people are told that it failed, not how."""
    with pytest.raises(ZeroDivisionError):
        async with client.run(session.id, key="job", text="Divide.") as run:
            await run.text("Half")
            raise ZeroDivisionError(SECRET)
    seen = await session.whole_run(run.id)
    assert (run.outcome, await outcome(session)) == ("failed", "failed")
    assert seen.types[-3:] == ["text-end", "error", "finish"]
    assert SECRET not in str(seen.chunks)
    assert text_of(await answer_of(session)) == "Half"


@pytest.mark.parametrize("chunk", [None, {"type": "error", "errorText": "No rivers today."}])
async def test_run_error_is_shown_in_its_own_words(
    client: Midstream, session: Session, chunk: dict[str, Any] | None
) -> None:
    """Raised, or as another stream's chunk."""
    with pytest.raises(RunError):
        async with client.run(session.id, key="job", text="Rivers?") as run:
            if chunk is None:
                raise RunError("No rivers today.")
            await run.chunk(chunk)
    seen = await session.whole_run(run.id)
    assert seen.chunks[-2] == {"type": "error", "errorText": "No rivers today."}


async def test_cancelled_worker_ends_its_run(client: Midstream, session: Session) -> None:
    """A deployment that ends the process tidily leaves no spinner; cancellation goes on."""
    begun = asyncio.Event()

    async def work() -> None:
        async with client.run(session.id, key="job", text="Wait.") as run:
            await run.text("Half")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await outcome(session) == "failed"
    assert text_of(await answer_of(session)) == "Half"


async def test_failing_tool_is_a_result_and_the_run_can_go_on(
    client: Midstream, session: Session
) -> None:
    """A `ToolError` says what the model reads, anything else nothing of itself."""
    async with client.run(session.id, key="job", text="Try.") as run:
        for error in (ToolError("No such city."), ValueError(SECRET)):
            with pytest.raises(type(error)):
                async with run.tool("weather", {}):
                    raise error
        await run.text("Well.")
    parts = (await answer_of(session))["parts"]
    errors = [part["errorText"] for part in parts if part["type"] == "tool-weather"]
    assert errors == ["No such city.", "The tool failed."]


async def test_call_without_a_result_is_the_clients_to_answer(
    client: Midstream, session: Session
) -> None:
    """The run ends with its call; the answer opens another run of the same message."""
    async with client.run(session.id, key="job", text="Where am I?") as run:
        await run.tool("where", {}, call_id="w").__aenter__()
    assert (await session.whole_run(run.id)).chunks[-1]["finishReason"] == "tool-calls"
    message = await answer_of(session)
    message["parts"][-1] |= {"state": "output-available", "output": "Rome"}
    async with client.run(session.id, key="job-2", message=message) as second:
        assert second.messages[-1]["parts"][-1]["output"] == "Rome"
        await second.text("In Rome.")
    answer = await answer_of(session)
    assert (answer["id"], text_of(answer)) == (message["id"], "In Rome.")


async def test_illegal_chunk_is_refused_where_it_is_made(
    client: Midstream, session: Session
) -> None:
    """It never leaves the worker, and the run goes on."""
    async with client.run(session.id, key="job", text="Go.") as run:
        with pytest.raises(IllegalChunkError):
            await run.chunk({"type": "text-delta", "id": "nowhere", "delta": "x"})
        await run.text("on")
    assert text_of(await answer_of(session)) == "on"


async def test_chunk_that_no_gateway_takes_ends_the_run(
    client: Midstream, session: Session
) -> None:
    """It is refused where it is made, with a sentence that says what to do instead."""
    with pytest.raises(MidstreamError, match="send their URL"):
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("Before")
            await run.text("x" * 9_000_000)
    assert (run.outcome, await outcome(session)) == ("failed", "failed")
    assert text_of(await answer_of(session)) == "Before"


async def test_run_that_a_gateway_refuses_to_go_on_with_is_ended(
    client: Midstream, session: Session
) -> None:
    """What the client sends is legal, as far as it knows; if not, no reader waits for a lease."""
    with pytest.raises(RefusedError) as refused:
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("Before")
            assert run._delivery is not None
            run._delivery.put([b'{"type":"text-end","id":"nowhere"}'])
            await asyncio.Event().wait()
    assert refused.value.code == "illegal_chunk"
    assert (run.outcome, await outcome(session)) == ("failed", "failed")
    assert text_of(await answer_of(session)) == "Before"


async def test_stop_cancels_a_silent_body_where_it_waits(
    client: Midstream, session: Session
) -> None:
    """What was said is kept; the code after the block runs."""
    waiting = asyncio.Event()
    watched: list[bool] = []

    async def watch(run: Run) -> None:
        await run.stopped()
        watched.append(run.is_stopped)

    async def work() -> Run:
        async with client.run(session.id, key="job", text="Wait.") as run:
            watcher = asyncio.create_task(watch(run))
            await run.text("So far")
            await run.flush()
            waiting.set()
            await asyncio.Event().wait()
        await watcher
        return run

    task = asyncio.create_task(work())
    await waiting.wait()
    stopped = await session.stop()
    run = await task
    assert (stopped, watched, run.outcome) == ([run.id], [True], "stopped")
    assert (task.cancelling(), await outcome(session)) == (0, "stopped")
    assert text_of(await answer_of(session)) == "So far"


async def test_busy_body_hears_a_stop_at_the_next_thing_it_says(
    client: Midstream, session: Session
) -> None:
    """Also one that catches whatever its tools raise, also one that never waits."""
    run = client.run(session.id, key="job", text="Count.")
    async with run:
        await run.text("0 ")
        await run.flush()
        stopping = asyncio.create_task(session.stop())
        with pytest.raises((RunStopped, asyncio.CancelledError)):
            while True:
                await run.text("and on ")
                await asyncio.sleep(0)
        with pytest.raises(RunStopped):
            await run.text("more")
    assert run.outcome == "stopped"
    assert await stopping == [run.id]


async def test_others_cancellation_is_not_taken_for_a_stop(
    client: Midstream, session: Session
) -> None:
    """A time limit round the block raises as it would without it."""
    run = client.run(session.id, key="job", text="Wait.")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit, run:
            await run.text("So far")
            limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
    assert run.outcome == "failed"


async def test_job_that_runs_again_after_its_end_is_skipped(
    client: Midstream, session: Session
) -> None:
    """At the first thing that its body says or waits for; `outcome` tells from the beginning."""
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
    """Also one that says less; nothing wrong is written, and the sentence says what to do."""
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


async def test_run_meets_another_one_under_way(client: Midstream, session: Session) -> None:
    """It is refused, or ends the other first, as it asks for."""
    waiting = asyncio.Event()

    async def other() -> Run:
        async with client.run(session.id, key="job", text="First.") as run:
            await run.text("first")
            await run.flush()
            waiting.set()
            await asyncio.Event().wait()
        return run

    task = asyncio.create_task(other())
    await waiting.wait()
    with pytest.raises(RefusedError) as refused:
        async with client.run(session.id, key="job-2", text="Second."):
            raise AssertionError("the body must not begin")
    assert (refused.value.code, refused.value.status) == ("run_active", 409)
    async with client.run(session.id, key="job-2", text="Second.", on_active="interrupt") as second:
        await second.text("second")
    assert ((await task).outcome, second.outcome) == ("stopped", "finished")
    assert [m["role"] for m in second.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("key", [None, "agent-key-of-nobody-at-all"])
async def test_worker_without_the_key_is_refused(
    pushed: Deployment, session: Session, key: str | None
) -> None:
    """401, and the key is in nobody's log."""
    async with Midstream(pushed.gateways[0].at.url, key=key) as stranger:
        with pytest.raises(RefusedError) as refused:
            async with stranger.run(session.id, key="job", text="Go."):
                raise AssertionError("the body must not begin")
    assert refused.value.code == "unauthorized"
    for gateway in pushed.gateways:
        assert AGENT_KEY not in gateway.process.output()


async def test_session_of_somebody_else_does_not_exist(client: Midstream, session: Session) -> None:
    """An agent acts for the user that it names, and for nobody else."""
    async with client.run(session.id, key="job", text="Go.", user="zoë|7") as run:
        await run.text("Hello Zoë")
    assert run.outcome == "finished"
    for user in ("bob", None):
        with pytest.raises(RefusedError) as refused:
            async with client.run(session.id, key="job", text="Go.", user=user):
                raise AssertionError("the body must not begin")
        assert refused.value.code == "session_not_found"


@asynccontextmanager
async def answering(status: str) -> AsyncIterator[str]:
    """A web server that answers everything with a page."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 6\r\n\r\n<html>".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_address_that_is_no_gateway_is_named_as_such() -> None:
    """Neither a traceback of the HTTP library's nor a wait without end."""
    with pytest.raises(ValueError, match="http://"):
        Midstream("localhost:8000")
    async with Midstream("http://127.0.0.1:1", outage_limit_s=0.2) as nobody:
        with pytest.raises(UnavailableError):
            await nobody.run("c", key="job", text="Go.").__aenter__()
    for status, error in (
        ("200 OK", MidstreamError),
        ("302 Found", RefusedError),
        ("404 Not Found", RefusedError),
        ("502 Bad Gateway", UnavailableError),
    ):
        async with answering(status) as url, Midstream(url, outage_limit_s=0.2) as other:
            with pytest.raises(error, match=r"^unable to "):
                await other.run("c", key="job", text="Go.").__aenter__()
    with pytest.raises(RuntimeError, match="async with"):
        await Midstream("http://127.0.0.1:1").run("c", key="job", text="Go.").__aenter__()
