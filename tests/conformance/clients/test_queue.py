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

pytestmark = pytest.mark.anyio
every_version: Final = pytest.mark.parametrize("ai", [5, 6, 7])

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


async def open_chat(
    node: NodeHost, session: Session, ai: int, *, queues: bool = False, on_active: str = "queue"
) -> NodeChat:
    body = {"onActive": on_active}
    url = f"{session.at.url}/api/chat"
    return await node.chat(url, session.id, ai=ai, body=body, queues=queues)


@every_version
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


@every_version
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


async def test_queue_of_ai_7_keeps_messages_in_its_tab_while_it_reads_an_answer(
    node: NodeHost, deployment: Deployment
) -> None:
    """Each is sent when nothing streams there; the gateway's queue has none of them."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    chat = await open_chat(node, session, 7, queues=True)
    await chat.send(held.question)
    await chat.reach(20)
    for text in ("B [[tokens=3]]", "C [[tokens=3]]"):
        await chat.send(text)
    assert [text_of(each) for each in (await chat.look())["queued"]] == [
        "B [[tokens=3]]",
        "C [[tokens=3]]",
    ]
    assert await _queued(session, 0)
    await held.release()
    await asked(session, held.question, "B [[tokens=3]]", "C [[tokens=3]]")
    end = await chat.settle()
    kept = (await session.snapshot())["messages"]
    assert [m["id"] for m in end["messages"]] == [m["id"] for m in kept], "no reordering either"


async def test_queue_of_ai_7_leaves_a_message_to_ours_while_another_tab_is_answered(
    node: NodeHost, deployment: Deployment
) -> None:
    """Its first message waits at the gateway, further ones in the tab, and the order is kept."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    await session.begin(held.question)
    chat = await open_chat(node, session, 7, queues=True)
    await chat.send("B [[tokens=3]]")
    await eventually(lambda: _queued(session, 1), "the first is queued here")
    await chat.send("C [[tokens=3]]")
    assert [text_of(each) for each in (await chat.look())["queued"]] == ["C [[tokens=3]]"]
    await held.release()
    await asked(session, held.question, "B [[tokens=3]]", "C [[tokens=3]]")


async def test_queue_of_ai_7_goes_on_after_a_stop_in_another_tab(
    node: NodeHost, deployment: Deployment
) -> None:
    """It hears of no stop but its own. Its send is answered behind what waits here."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    chat = await open_chat(node, session, 7, queues=True)
    await chat.send(held.question)
    await chat.reach(20)
    await chat.send("In the tab [[tokens=3]]")
    await add(session, "Here [[tokens=3]]")
    await session.stop()
    await asked(session, held.question, "Here [[tokens=3]]", "In the tab [[tokens=3]]")


async def test_message_of_both_queues_is_refused_if_its_sends_do_not_queue_here(
    node: NodeHost, deployment: Deployment
) -> None:
    """What waits here goes first; the tab's message stays on its screen, with the reason."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    chat = await open_chat(node, session, 7, queues=True, on_active="refuse")
    await chat.send(held.question)
    await chat.reach(20)
    await chat.send("In the tab [[tokens=3]]")
    second = deployment.simulator.held(tokens=6)
    await add(session, second.question)
    await held.release()
    end = await chat.settle()
    assert '"run_active"' in end["error"]
    assert text_of(end["messages"][-1]) == "In the tab [[tokens=3]]"
    await second.release()
    await asked(session, held.question, second.question)


async def add(session: Session, text: str) -> None:
    body = session.body(text, None, {"onActive": "queue"})
    async with session.at.request(
        "POST", "/api/chat", body, headers={"prefer": "respond-async"}
    ) as response:
        assert response.status == 202, await response.body()


async def asked(session: Session, *texts: str) -> None:
    """Wait until these are the questions, and the last one is answered."""

    async def done() -> bool:
        snapshot = await session.snapshot()
        questions = [text_of(m) for m in snapshot["messages"] if m["role"] == "user"]
        return questions == list(texts) and snapshot["runs"][-1]["state"] == "ended"

    await eventually(done, f"{texts} are answered", 30)


async def _queued(session: Session, count: int) -> bool:
    return len((await session.snapshot())["queue"]["entries"]) == count
