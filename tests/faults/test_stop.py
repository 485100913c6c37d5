"""Promise 5: a stop is a record. From anywhere, at any moment, once, and for that run only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, new_chat_id, text_of, user_message
from tests.support.websocket import chunks_of, open_socket

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

ENDING = ["text-end", "abort", "finish"]


async def run_until(
    session: Session, text: str, length: int, agent: str = "assistant"
) -> tuple[str, Transcript]:
    """Send, leave after so much text; return the run's id and the seen text."""
    seen = Transcript()
    async with session.sending(text, extra={"agent": agent}) as response:
        assert response.status == 200, await response.body()
        async for _ in seen.follow(response):
            if len(seen.text) >= length:
                return response.headers["x-midstream-run-id"], seen
    raise AssertionError(f"the run ended first: {seen.types[-3:]}")


async def assert_upstream_cancelled(deployment: Deployment, marker: str) -> None:
    """Wait until the provider's far end saw its connection closed before its answer's end."""

    async def cancelled() -> bool:
        requests = await deployment.simulator.requests(marker)
        return [request["ended"] for request in requests] == ["disconnected"]

    await eventually(cancelled, "the provider's connection is closed")


async def test_stop_from_another_process_cancels_a_silent_provider(
    deployment: Deployment,
) -> None:
    """The provider is silent and no reader is left: the stop closes the provider's connection."""
    session = deployment.session()
    marker = new_chat_id()
    run_id, _ = await run_until(session, f"{marker} [[tokens=50 rate=0 stall=10m after=10]]", 10)

    stopped = await session.through(deployment.gateways[1].at).stop()

    assert stopped == [run_id]
    await assert_upstream_cancelled(deployment, marker)


async def test_stop_before_the_first_token_cancels_the_provider(deployment: Deployment) -> None:
    """A run that has said nothing leaves no empty answer behind."""
    session = deployment.session()
    marker = new_chat_id()
    run_id = await session.begin(f"{marker} [[first=10m tokens=5]]")

    async def called() -> bool:
        return bool(await deployment.simulator.requests(marker))

    await eventually(called, "the provider is called")

    assert await session.through(deployment.gateways[1].at).stop() == [run_id]

    await assert_upstream_cancelled(deployment, marker)
    kept = await session.snapshot()
    assert [text_of(m) for m in kept["messages"] if m["role"] == "assistant"] in ([], [""])
    assert kept["runs"][-1]["outcome"] == "stopped"


async def test_stopped_run_ends_with_exactly_the_ending(deployment: Deployment) -> None:
    """Open parts and step closed, `abort`, `finish` without a reason, [DONE], for every reader."""
    session = deployment.session()
    seen, other = Transcript(), Transcript()
    async with (
        session.sending("[[tokens=5000 rate=200 first=0]]") as response,
        session.through(deployment.gateways[1].at).resuming() as resumed,
    ):
        async for _ in seen.follow(response):
            if len(seen.text) > 60:
                break
        stopping = asyncio.create_task(session.stop())
        await asyncio.gather(seen.read(response), other.read(resumed), stopping)

    for transcript in (seen, other):
        assert transcript.done
        assert transcript.types[-3:] == ENDING
        assert "finishReason" not in transcript.chunks[-1]
        assert transcript.types.count("abort") == 1


async def test_stop_closes_an_open_reasoning_part(deployment: Deployment) -> None:
    """Any open part is closed, not only text."""
    session = deployment.session()
    async with session.sending("[[reasoning=5000 rate=200 first=0]]") as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if len(seen.chunks) == 20:
                await session.stop()

    assert seen.types[-3:] == ["reasoning-end", *ENDING[1:]]


@pytest.mark.parametrize("agent", ["assistant", "responses", "completions"])
async def test_partial_answer_is_kept_and_told_to_the_model(
    agent: str, deployment: Deployment
) -> None:
    """The snapshot holds the text with all parts done; the next request's history too."""
    session = deployment.session()
    _, seen = await run_until(session, "[[tokens=5000 rate=100 first=0]]", 60, agent)
    await session.stop()

    kept = (await session.snapshot())["messages"]
    echo = await session.send("[[echo]]", extra={"agent": agent})

    answer = text_of(kept[-1])
    assert answer.startswith(seen.text)
    assert {part.get("state", "done") for part in kept[-1]["parts"]} == {"done"}
    assert answer.strip()[:50].replace("\n", "\\n") in echo.text


async def test_second_stop_and_stop_of_a_finished_run_change_nothing(
    deployment: Deployment,
) -> None:
    """A stop is idempotent, by any name."""
    session = deployment.session()
    run_id, _ = await run_until(session, "[[tokens=5000 rate=100 first=0]]", 20)
    assert await session.stop() == [run_id]
    finished = await session.begin("[[tokens=3]]")
    await session.resume()
    await eventually(session.is_ended, "the run ends")
    before = deployment.redis.dump(session.id)

    assert await session.stop() == []
    assert await session.stop(runId=run_id) == []
    assert await session.stop(runId=finished) == []

    assert deployment.redis.dump(session.id) == before


async def test_simultaneous_stops_end_one_run_once(deployment: Deployment) -> None:
    """Ten people press stop; the run has one terminal."""
    session = deployment.session()
    run_id, _ = await run_until(session, "[[tokens=5000 rate=100 first=0]]", 20)

    answers = await asyncio.gather(
        *(session.through(deployment.gateways[n % 2].at).stop() for n in range(10))
    )

    assert {run for answer in answers for run in answer} == {run_id}
    whole = await session.whole_run(run_id)
    assert whole.types.count("abort") == whole.types.count("finish") == 1


async def test_stop_of_an_older_run_leaves_the_newer_alone(deployment: Deployment) -> None:
    """A late stop for run A does not hit run B."""
    session = deployment.session()
    older = (await session.send("[[tokens=3]]"), (await session.snapshot())["runs"][-1]["id"])[1]
    first_message = (await session.snapshot())["messages"][0]["id"]
    newer, _ = await run_until(session, "[[tokens=5000 rate=100 first=0]]", 20)

    assert await session.stop(runId=older) == []
    assert await session.stop(messageId=first_message) == []

    assert (await session.snapshot())["runs"][-1]["state"] == "open"
    assert await session.stop(runId=newer) == [newer]


async def test_stop_names_the_run_by_its_user_message(deployment: Deployment) -> None:
    """A client that has no run id yet names the message that it sent."""
    session = deployment.session()
    run_id = await session.begin("[[tokens=5000 rate=100]]", message_id="u-named")

    assert await session.stop(messageId="u-named") == [run_id]


@pytest.mark.parametrize("first", [True, False], ids=["first of a session", "later"])
@pytest.mark.parametrize("named", ["messageId", "requestId"])
async def test_stop_prevents_a_message_that_has_not_arrived(
    deployment: Deployment, first: bool, named: str
) -> None:
    """Stop overtakes the POST: the run ends stopped, and the provider is never called."""
    session = deployment.session()
    if not first:
        await session.send("[[tokens=3]]")
    marker = new_chat_id()
    other = session.through(deployment.gateways[1].at)
    assert await other.stop(**{named: marker}) == []

    extra = {"requestId": marker}
    late = await session.send(f"{marker} [[tokens=50]]", message_id=marker, extra=extra)

    assert late.types[-2:] == ["abort", "finish"]
    assert late.text == ""
    assert await deployment.simulator.requests(marker) == []


async def test_stopped_message_is_sent_again_and_answered(deployment: Deployment) -> None:
    """A stop that names its send leaves the same message alone that is sent the next moment."""
    session = deployment.session()
    assert await session.stop(messageId="u-1", requestId="first") == []

    again = await session.send("[[tokens=5]]", message_id="u-1", extra={"requestId": "second"})

    assert again.types[-1] == "finish"
    assert "abort" not in again.types


async def test_send_waits_for_a_run_that_is_stopping(deployment: Deployment) -> None:
    """Stop, then send at once: the send is answered, not refused."""
    session = deployment.session()
    await run_until(session, "[[tokens=5000 rate=100 first=0]]", 20)

    stopping = asyncio.create_task(session.stop())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while True:
            async with session.sending("next [[tokens=3]]", message_id="u-next") as response:
                if response.status == 200:
                    answer = await Transcript().read(response)
                    break
                # The POST overtook the stop: then the run is still open, not stopping.
                assert response.status == 409

    assert len(await stopping) == 1
    assert answer.chunks[-1]["finishReason"] == "stop"


async def test_disconnect_of_every_reader_stops_nothing(deployment: Deployment) -> None:
    """A lost connection is no decision: the run continues to its end without readers."""
    session = deployment.session()
    await run_until(session, "[[tokens=60 rate=100 first=0]]", 10)

    seen = await session.resume()

    assert seen is None or seen.chunks[-1]["finishReason"] == "stop"
    assert (await session.snapshot())["runs"][-1]["outcome"] == "finished"


async def test_resend_of_a_stopped_answer_without_anything_new_is_refused(
    deployment: Deployment,
) -> None:
    """A stock chat that continues a stopped message by itself gets 409, not an empty 200."""
    session = deployment.session()
    await run_until(session, "[[tokens=5000 rate=100 first=0]]", 20)
    await session.stop()
    kept: list[Any] = (await session.snapshot())["messages"]
    body = {
        "id": session.id,
        "messages": kept,
        "trigger": "submit-message",
        "messageId": kept[-1]["id"],
    }

    status, answer = await session.at.call("POST", "/api/chat", body)

    assert (status, answer["error"]["code"]) == (409, "conflict")


async def test_websocket_abort_stops_the_newest_request_of_its_socket(
    deployment: Deployment,
) -> None:
    """`abort` without a resume behind it is a stop."""
    session = deployment.session()
    marker = new_chat_id()
    async with open_socket(session.at) as socket:
        request = await socket.send_message(
            session.id, f"{marker} [[tokens=50 rate=0 stall=10m after=10]]"
        )
        while (await socket.next_frame(request))["type"] != "chunk":
            pass
        await socket.send("abort", requestId=request)

        await assert_upstream_cancelled(deployment, marker)

    assert (await session.snapshot())["runs"][-1]["outcome"] == "stopped"


async def test_websocket_abort_after_a_resume_is_only_a_reader_leaving(
    deployment: Deployment,
) -> None:
    """The abort of a request that another of the same chat has replaced stops nothing.

    The gateway stands still while both are sent, so that it finds them together.
    """
    session = deployment.session()
    answer = deployment.simulator.held(tokens=100, after=20)
    gateway = deployment.gateways[0].process
    async with open_socket(session.at) as socket:
        first = await socket.send_message(session.id, answer.question)
        while (await socket.next_frame(first))["type"] != "chunk":
            pass
        gateway.freeze()
        try:
            await socket.send("abort", requestId=first)
            second = await socket.resume(session.id)
        finally:
            gateway.thaw()
        while (await socket.next_frame(second))["type"] != "chunk":
            pass
        await answer.release()

        frames = await socket.answer(second)

    assert frames[-1]["type"] == "end"
    assert chunks_of(frames)[-1] == {"type": "finish", "finishReason": "stop"} | {
        key: value
        for key, value in chunks_of(frames)[-1].items()
        if key not in {"type", "finishReason"}
    }
    assert (await session.snapshot())["runs"][-1]["outcome"] == "finished"


async def test_stop_of_a_session_nobody_has_heard_of_creates_nothing(
    deployment: Deployment,
) -> None:
    """There is nothing to stop, and nothing is left behind."""
    session = deployment.session()

    for body in ({}, {"runId": "run_x"}):
        await session.at.call("POST", f"/api/chat/{session.id}/stop", body)

    assert deployment.redis.dump(session.id) == {}


async def test_stop_leaves_the_message_of_a_person_as_it_is(deployment: Deployment) -> None:
    """Only the answer is cut short."""
    session = deployment.session()
    message = user_message("[[tokens=5000 rate=100 first=0]]", "u-kept")
    await session.begin(message["parts"][0]["text"], message_id="u-kept")
    await session.stop()

    assert (await session.snapshot())["messages"][0] == message
