"""Unchanged clients whose sends queue: `onActive: "queue"` in the body of their transport."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.fixtures import Deployment, start_deployment
from tests.support.processes import eventually
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.node import NodeChat, NodeHost
    from tests.support.sessions import Session
    from tests.support.simulator import Simulator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

WAIT_S: Final = 1.0


@pytest.fixture(scope="module")
def impatient(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A gateway whose waiting responses end soon."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("impatient"), stack)
        made.add_gateway({"chat": {"wait_stream_s": WAIT_S}, "server": {"heartbeat_interval_s": 1}})
        yield made


async def open_chat(node: NodeHost, session: Session, ai: int) -> NodeChat:
    body = {"onActive": "queue"}
    return await node.chat(f"{session.at.url}/api/chat", session.id, ai=ai, body=body)


async def test_chat_that_sends_while_an_answer_streams_shows_both_answers(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """The answer under way is not taken from it; after a reload, the order is the session's."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    chat = await open_chat(node, session, ai)
    await chat.send(held.question)
    await chat.reach(20)
    await chat.send("And then? [[tokens=3]]")
    await eventually(lambda: _queued(session, 1), "the second message is queued")
    await held.release()
    end = await chat.settle()
    await eventually(session.is_ended, "both are answered")
    assert (end["status"], end["error"]) == ("ready", None)
    kept = (await session.snapshot())["messages"]
    assert [m["role"] for m in kept] == ["user", "assistant"] * 2
    assert [message["id"] for message in end["messages"]] == [m["id"] for m in kept]
    shown = {message["id"]: text_of(message) for message in end["messages"]}
    assert {message["id"]: text_of(message) for message in kept} == shown


async def test_response_that_waits_for_too_long_adds_no_message_and_no_error(
    ai: int, node: NodeHost, impatient: Deployment
) -> None:
    session = impatient.session()
    held = impatient.simulator.held(tokens=6)
    await session.begin(held.question)
    chat = await open_chat(node, session, ai)
    await chat.send("And then? [[tokens=3]]")
    end = await chat.settle()
    assert (end["status"], end["error"]) == ("ready", None)
    assert [message["role"] for message in end["messages"]] == ["user"]
    assert await _queued(session, 1)
    await held.release()

    async def answered() -> bool:
        return len((await session.snapshot())["messages"]) == 4

    await eventually(answered, "it is answered all the same")


async def _queued(session: Session, count: int) -> bool:
    return len((await session.snapshot())["queue"]["entries"]) == count
