"""A route of ai 7 behind the gateway, as it is: its tools, its metadata, its failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sessions import Session, Transcript, as_ai5_holds, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost

pytestmark = pytest.mark.anyio

ROUTE = {"agent": "route"}


async def last_message(session: Session) -> dict[str, Any]:
    return dict((await session.snapshot())["messages"][-1])


def call_in(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message's one call."""
    [call] = [part for part in message["parts"] if part["type"].startswith("tool-")]
    return dict(call)


async def go_on(session: Session, message: dict[str, Any]) -> Transcript:
    """Send a message with its answers, as the client does."""
    body = {
        "id": session.id,
        "messages": [message],
        "trigger": "submit-message",
        "messageId": message["id"],
        **ROUTE,
    }
    async with session.at.request("POST", "/api/chat", body) as response:
        assert response.status == 200, await response.body()
        return await Transcript().read(response)


async def test_tool_of_the_route_is_called_and_its_steps_are_kept(
    node: NodeHost, with_agents: Deployment
) -> None:
    """Its own steps, ids and metadata come through; the message's id is the session's."""
    session = with_agents.session()
    chat = await node.chat(f"{session.at.url}/api/chat", session.id, body=ROUTE)
    await chat.send('[[tool=add {"one": 1, "two": 2} step=1]]')
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    message = end["messages"][-1]
    assert call_in(message)["output"] == 3
    assert [part["type"] for part in message["parts"]].count("step-start") == 2
    assert message["metadata"]["by"] == "route"
    assert message["metadata"]["midstream"]["by"]["id"] == "route"
    assert message["id"] == (await session.snapshot())["runs"][-1]["messageId"]
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_client_answers_the_routes_call_and_the_same_message_goes_on(
    node: NodeHost, with_agents: Deployment
) -> None:
    """The route is sent the message with the answer in it, as the client would send it."""
    session = with_agents.session()
    chat = await node.chat(f"{session.at.url}/api/chat", session.id, body=ROUTE)
    await chat.send("[[tool=where {}]]")
    asked = (await chat.settle())["messages"][-1]
    assert call_in(asked)["state"] == "input-available"

    await chat.answer("where", call_in(asked)["toolCallId"], "Rome")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    answered = end["messages"][-1]
    assert answered["id"] == asked["id"]
    assert call_in(answered)["output"] == "Rome"
    assert text_of(answered)
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


@pytest.mark.parametrize(
    ("approved", "state"), [(True, "output-available"), (False, "output-denied")]
)
async def test_person_decides_about_the_routes_call(
    approved: bool, state: str, with_agents: Deployment
) -> None:
    """The route runs an allowed call in the new run; the model is told of a refused one."""
    session = with_agents.session()
    await session.send('[[tool=book {"train": "EC 7"}]]', extra=ROUTE)
    message = await last_message(session)
    [asked] = [part for part in message["parts"] if part.get("state") == "approval-requested"]

    asked["state"] = "approval-responded"
    asked["approval"] |= {"approved": approved}
    seen = await go_on(session, message)

    assert seen.chunks[-1]["finishReason"] == "stop"
    decided = await last_message(session)
    assert call_in(decided)["state"] == state
    assert call_in(decided).get("output") == ("booked EC 7" if approved else None)
    assert text_of(decided)


async def test_failure_of_the_routes_provider_is_the_runs_and_the_next_send_works(
    node: NodeHost, with_agents: Deployment
) -> None:
    """The route hides it, as the AI SDK does by default; the text before it stays."""
    session = with_agents.session()
    chat = await node.chat(f"{session.at.url}/api/chat", session.id, body=ROUTE)
    await chat.send("[[tokens=40 rate=200 error=server after=20]]")
    failed = await chat.settle()
    assert failed["status"] == "error"
    assert failed["error"] == "An error occurred."
    assert text_of(failed["messages"][-1])

    await chat.send("again [[tokens=5]]")
    end = await chat.settle()
    assert (end["status"], end["error"]) == ("ready", None)
