"""A message for the running answer, by HTTP: at each moment of its life, over two gateways."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, text_of, user_message
from tests.support.websocket import chunks_of, open_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import Deployment
    from tests.support.simulator import HeldAnswer

pytestmark = pytest.mark.anyio

WAIT_MS = 20_000
STEER = {"onActive": "steer"}
NO_WAIT = {"prefer": "respond-async"}
SHORT = "Say it in one line. [[tokens=3]]"


async def steer(session: Session, name: str, text: str = SHORT, **more: Any) -> Any:
    body = {"message": user_message(text, name), **more}
    return await session.at.call("POST", f"/api/chat/{session.id}/steer", body)


async def outcome(session: Session, name: str, text: str = SHORT, **more: Any) -> dict[str, Any]:
    """What became of a message, once that is known."""
    while True:
        status, answer = await steer(session, name, text, waitMs=WAIT_MS, **more)
        assert status in (200, 202), answer
        if status == 200:
            return dict(answer)


async def call(session: Session, method: str, path: str = "", body: object = None) -> Any:
    return await session.at.call(method, f"/api/chat/{session.id}/queue{path}", body)


def steered_in(snapshot: Any) -> list[str]:
    """The ids of the messages that answers have taken up, in order."""
    return [
        part["id"]
        for message in snapshot["messages"]
        for part in message["parts"]
        if part["type"] == "steering-message"
    ]


def order(snapshot: Any) -> list[str]:
    return [entry["id"] for entry in snapshot["queue"]["entries"]]


@asynccontextmanager
async def busy(deployment: Deployment) -> AsyncIterator[tuple[Session, Session, HeldAnswer]]:
    """A session whose first answer, u1's, is held in its text; as seen through two gateways."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=6)
    await session.begin_speaking(held.question, message_id="u1")
    try:
        yield session, session.through(deployment.gateways[1].at), held
    finally:
        await held.release()


async def ended(session: Session) -> None:
    await eventually(session.is_ended, "the answer has ended")


async def test_message_given_to_a_text_answer_gets_a_step_of_its_own(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        status, waiting = await steer(there, "s1")
        assert (status, waiting["type"]) == (202, "pending")
        snapshot = await there.snapshot()
        assert [each["id"] for each in snapshot["steers"]] == ["s1"]
        assert snapshot["steers"][0]["runId"] == waiting["runId"]
        asking = asyncio.create_task(outcome(there, "s1"))
        await held.release()
        assert await asking == {
            "id": "s1",
            "type": "delivered",
            "runId": waiting["runId"],
            "stepNumber": 1,
        }
        assert (await steer(here, "s1"))[1]["stepNumber"] == 1
        await ended(here)
        snapshot = await there.snapshot()
        assert (steered_in(snapshot), order(snapshot), snapshot["steers"]) == (["s1"], [], [])
        parts = snapshot["messages"][1]["parts"]
        types = [part["type"] for part in parts if part["type"] != "custom"]
        assert types == ["step-start", "text", "steering-message", "step-start", "text"]
        await here.send("And then? [[tokens=2]]", message_id="u2")
        requests = await deployment.simulator.requests(held.question)
        for request, roles in zip(requests[1:], ("uau", "uauau"), strict=True):
            said = request["body"]["messages"]
            assert "".join(each["role"][0] for each in said) == roles
            assert "Say it in one line" in json.dumps(said[2])


async def test_clients_read_the_message_in_the_form_that_they_know(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, held):
        run_id = (await steer(here, "s1"))[1]["runId"]
        await held.release()
        await ended(here)
        old, new = [
            await session.whole_run(run_id, query)
            for session, query in ((here, "?v=7"), (there, "?v=7.0.163"))
        ]
        parts = [{"type": "text", "text": SHORT}]
        at = new.types.index("steering-message")
        assert new.types[at - 1 : at + 2] == ["finish-step", "steering-message", "start-step"]
        assert new.chunks[at] == {"type": "steering-message", "id": "s1", "parts": parts}
        as_data = {"type": "delivered", "id": "s1", "parts": parts}
        assert old.chunks[at] == {"type": "data-steering", "id": "s1", "data": as_data}


async def test_two_messages_at_once_are_taken_up_in_order_and_once_each(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        assert (await steer(here, "s1"))[0] == 202
        answers = await asyncio.gather(*[steer(at, "s2") for at in (here, there)])
        assert [status for status, _ in answers] == [202, 202]
        await held.release()
        for name in ("s1", "s2"):
            assert (await outcome(there, name))["stepNumber"] == 1
        await ended(here)
        assert steered_in(await here.snapshot()) == ["s1", "s2"]


async def test_stop_brings_the_message_to_the_front_of_the_paused_queue(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, _):
        for name in ("q1", "q2"):
            body = here.body(SHORT, name, {"onActive": "queue"})
            async with here.at.request("POST", "/api/chat", body, headers=NO_WAIT) as queued:
                assert queued.status == 202
        await steer(there, "s1")
        await steer(there, "s2", onUndelivered="return")
        await here.stop()
        told = await outcome(here, "s1")
        assert (told["type"], told["reason"]) == ("not-delivered", "aborted")
        snapshot = await there.snapshot()
        assert (order(snapshot), snapshot["queue"]["paused"]) == (["s1", "q1", "q2"], "stopped")
        [back] = snapshot["queue"]["unsent"]
        assert (back["id"], back["reason"]) == ("s2", "steer_not_delivered")
        assert text_of(back["message"]) == SHORT
        assert steered_in(snapshot) == snapshot["steers"] == []


async def test_message_for_a_run_that_has_ended_is_answered_or_returned(
    deployment: Deployment,
) -> None:
    session = deployment.session()
    run_id = await session.begin("Hello [[tokens=2]]", message_id="u1")
    await ended(session)
    status, refused = await steer(session, "s1", runId=run_id, onUndelivered="return")
    assert (status, refused["error"]["code"]) == (409, "steer_not_delivered")
    assert refused["error"]["reason"] == "finished"
    assert order(await session.snapshot()) == []
    told = (await steer(session, "s2", runId=run_id))[1]
    assert (told["type"], told["reason"]) == ("not-delivered", "finished")

    async def answered() -> bool:
        messages = (await session.snapshot())["messages"]
        return len(messages) == 4 and messages[2]["id"] == "s2"

    await eventually(answered, "the message has an answer of its own")


async def test_send_that_steers_is_told_its_outcome_and_begins_no_message(
    deployment: Deployment,
) -> None:
    async with busy(deployment) as (here, there, held):
        seen = await there.send(SHORT, message_id="s1", extra=STEER)
        assert (seen.types, seen.done) == (["data-steering", "finish"], True)
        told = seen.chunks[0]
        assert told["transient"] is True
        assert (told["data"]["id"], told["data"]["type"]) == ("s1", "pending")
        body = here.body(SHORT, "s2", STEER)
        async with here.at.request("POST", "/api/chat", body, headers=NO_WAIT) as response:
            assert (response.status, json.loads(await response.body())["steered"]["id"]) == (
                202,
                "s2",
            )
        await held.release()
        await ended(here)
        assert steered_in(await there.snapshot()) == ["s1", "s2"]


async def test_send_that_steers_by_a_websocket_is_told_its_outcome(
    deployment: Deployment,
) -> None:
    """In its frame's body; the running answer goes on in the frames of its own request."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=6)
    there = deployment.gateways[1].at
    async with open_socket(session.at, "?v=7.0.163") as here, open_socket(there) as other:
        first = await here.send_message(session.id, held.question, "u1")
        while (await here.next_frame(first))["type"] != "chunk":
            pass
        for socket, name in ((here, "s1"), (other, "s2")):
            second = await socket.send_message(session.id, SHORT, name, body=STEER)
            told, end = chunks_of(await socket.answer(second))
            assert (told["type"], end["type"]) == ("data-steering", "finish")
            assert (told["data"]["id"], told["data"]["type"]) == (name, "pending")
        await held.release()
        seen = chunks_of(await here.answer(first))
    assert [chunk["id"] for chunk in seen if chunk["type"] == "steering-message"] == ["s1", "s2"]
    await ended(session)
    assert steered_in(await session.snapshot()) == ["s1", "s2"]
    async with open_socket(there) as socket:
        again = await socket.send_message(session.id, SHORT, "s1", body=STEER)
        (told, _) = chunks_of(await socket.answer(again))
        assert (told["data"]["type"], told["data"]["stepNumber"]) == ("delivered", 1)


async def test_send_that_steers_an_idle_session_is_an_ordinary_one(deployment: Deployment) -> None:
    session = deployment.session()
    seen = await session.send("Hello [[tokens=2]]", message_id="u1", extra=STEER)
    assert seen.types[0] == "start"
    again = await session.send("Hello [[tokens=2]]", message_id="u1", extra=STEER)
    assert again.chunks[0] == seen.chunks[0]
    assert [each["role"] for each in (await session.snapshot())["messages"]] == [
        "user",
        "assistant",
    ]


async def test_queued_message_is_given_to_the_running_answer(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, held):
        for name in ("q1", "q2"):
            body = here.body(SHORT, name, {"onActive": "queue"})
            async with here.at.request("POST", "/api/chat", body, headers=NO_WAIT) as queued:
                assert queued.status == 202
        status, queue = await call(there, "POST", "/q2/send-now", {"how": "steer"})
        assert (status, [entry["id"] for entry in queue["entries"]]) == (200, ["q1"])
        await held.release()

        async def answered() -> bool:
            messages = (await here.snapshot())["messages"]
            return len(messages) == 4 and messages[2]["id"] == "q1" and await here.is_ended()

        await eventually(answered, "the other one has an answer of its own")
        assert steered_in(await there.snapshot()) == ["q2"]


async def test_followers_hear_of_the_message_and_of_its_outcome(deployment: Deployment) -> None:
    async with busy(deployment) as (here, there, held):
        told: list[Any] = []
        async with there.at.request("GET", f"/api/chat/{here.id}/events") as feed:
            events = feed.events()
            assert json.loads((await anext(events)).data)["steers"] == []
            await steer(here, "s1")
            await held.release()
            async for event in events:
                if event.event == "steer":
                    told.append(json.loads(event.data))
                if len(told) == 2:
                    break
        waiting, delivered = told
        assert (waiting["outcome"]["type"], waiting["entry"]["id"]) == ("pending", "s1")
        assert (delivered["outcome"]["type"], "entry" in delivered) == ("delivered", False)
