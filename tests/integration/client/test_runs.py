"""Runs that a worker writes with the client: everything that it can say, and how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from midstream.client import (
    Midstream,
    MidstreamError,
    RefusedError,
    Run,
    RunError,
    RunStopped,
    ToolError,
)
from midstream.protocol.errors import IllegalChunkError
from tests.support.push import AGENT_KEY, answer_of, client_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

SECRET = "a detail of the worker's own"  # noqa: S105


async def outcome(session: Session) -> object:
    """Return the outcome of the session's last run, from the gateway."""
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
    by = {"id": "forecaster", "role": "agent", "kind": "agent", "name": "forecaster"}
    assert message["metadata"] == {"midstream": {"by": by}, "model": "m", "cost": 1}
    seen = await session.whole_run(run.id)
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert (await session.snapshot())["runs"][-1]["agent"] == "forecaster"


async def test_tokens_are_sent_in_batches(pushed: Deployment, session: Session) -> None:
    """Thousands of words take few requests, and arrive whole."""
    sent = 0
    async with client_of(pushed, flush_interval_s=60.0) as client:
        post = client._gateways.post

        async def counted(target: str, *args: Any, **options: Any) -> Any:
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
    """The model reads the text of a `ToolError`, and nothing of other exceptions."""
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
    """The client writes only legal chunks.

    If a gateway refuses one all the same, the run ends at once.
    """
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
    """The written parts are kept; the code after the block runs."""
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


async def test_worker_awaits_side_runs_of_its_answer(client: Midstream, session: Session) -> None:
    """They are no part of the conversation, and a client that asks is shown them."""

    async def research(parent: str, topic: str) -> str:
        async with client.run(
            session.id, key=f"side-{topic}", text=topic, agent="researcher", side=parent
        ) as side:
            await side.text(f"found {topic}")
        return str(side.message["parts"][-1]["text"])

    async with client.run(session.id, key="job", text="Compare") as run:
        found = await asyncio.gather(*(research(run.id, topic) for topic in ("a", "b")))
        await run.text(" and ".join(found))
    assert text_of(await answer_of(session)) == "found a and found b"
    assert len((await session.snapshot())["messages"]) == 2
