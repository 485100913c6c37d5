"""WebSocketChatTransport, TextStreamChatTransport and WorkflowChatTransport, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session, as_ai5_holds, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost, Transport

pytestmark = pytest.mark.anyio

API = "/api/chat"


@pytest.mark.parametrize("transport", ["default", "websocket", "workflow"])
async def test_chat_of_ai_7_that_says_so_holds_exactly_the_servers_message(
    transport: Transport, node: NodeHost, deployment: Deployment
) -> None:
    """With `?v=7` nothing is left out for older clients."""
    session = deployment.session()
    chat = await node.chat(f"{session.at.url}{API}?v=7", session.id, transport=transport)

    await chat.send("[[tokens=60 rate=200 reasoning=20]]")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert end["messages"] == (await session.snapshot())["messages"]


async def test_late_chat_joins_a_long_run_to_the_same_state(
    node: NodeHost, deployment: Deployment
) -> None:
    """After 10,000 tokens it holds the same as a chat that saw them all."""
    session = deployment.session()
    answer = deployment.simulator.held(after=10_050)
    first = await node.chat(session.at.url + API, session.id)
    await first.send(f"[[tokens=10060 reasoning=50 rate=0 first=0]] {answer.directive}")
    await first.reach(20_000)

    held = as_ai5_holds((await session.snapshot())["messages"])
    late = await node.chat(session.at.url + API, session.id, messages=held)
    await late.resume()
    await late.reach(20_000)
    await answer.release()
    joined, original = await late.settle(), await first.settle()

    assert joined["status"] == "ready"
    assert joined["messages"] == original["messages"]


async def test_websocket_chat_ends_with_the_servers_message_after_a_send(
    node: NodeHost, deployment: Deployment
) -> None:
    """The same path, upgraded, gives the same message."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, transport="websocket")

    await chat.send("[[tokens=60 rate=100 reasoning=20]]")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_websocket_chat_resumes_mid_stream_to_the_same_message(
    node: NodeHost, deployment: Deployment
) -> None:
    """A run sent over SSE is resumed over a WebSocket at another gateway."""
    session = deployment.session()
    elsewhere = session.through(deployment.gateways[1].at)
    answer = deployment.simulator.held()
    first = await node.chat(session.at.url + API, session.id)
    await first.send(answer.question)
    await first.reach(80)

    held = as_ai5_holds((await elsewhere.snapshot())["messages"])
    second = await node.chat(
        elsewhere.at.url + API, session.id, transport="websocket", messages=held
    )
    await second.resume()
    await second.reach(80)
    await answer.release()
    resumed, original = await second.settle(), await first.settle()

    assert resumed["status"] == "ready"
    assert resumed["messages"] == original["messages"]


async def test_websocket_chat_stays_as_it_is_when_nothing_runs(
    node: NodeHost, deployment: Deployment
) -> None:
    """A resume of an unknown chat is null."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, transport="websocket")

    await chat.resume()
    end = await chat.settle()

    assert (end["status"], end["messages"], end["error"]) == ("ready", [], None)


async def test_websocket_chats_stop_ends_the_run(node: NodeHost, deployment: Deployment) -> None:
    """`stop()` over a WebSocket is a stop: the run ends for all its readers."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, transport="websocket")
    await chat.send("[[tokens=3000 rate=100]]")
    await chat.reach(40)

    async with session.resuming() as response:
        assert response.status == 200
        await chat.stop()
        end = await chat.settle()
        other = await session.resume()

    assert end["status"] == "ready"
    assert other is None or other.types[-2:] == ["abort", "finish"]
    assert [run["outcome"] for run in (await session.snapshot())["runs"]] == ["stopped"]


async def test_websocket_chats_replaced_resume_does_not_stop_the_run(
    node: NodeHost, deployment: Deployment
) -> None:
    """A second resume aborts the first one: its reader left, and no person pressed stop."""
    session = deployment.session()
    early, late = (deployment.simulator.held(tokens=100, after=n, size=8) for n in (20, 40))
    await session.begin(f"{early.question} {late.directive}")
    held = as_ai5_holds((await session.snapshot())["messages"])
    chat = await node.chat(session.at.url + API, session.id, transport="websocket", messages=held)

    await chat.resume()
    await chat.reach(20)
    await chat.resume()
    await early.release()
    await chat.reach(240)  # by the second one: the first was aborted at 160
    await late.release()
    end = await chat.settle()

    assert end["status"] == "ready"
    assert [run["outcome"] for run in (await session.snapshot())["runs"]] == ["finished"]
    assert text_of(end["messages"][-1]) == text_of((await session.snapshot())["messages"][-1])


@pytest.mark.parametrize("ai", [5, 6, 7])
async def test_text_chat_ends_with_the_servers_text(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """`?protocol=text` is the answer's text and nothing else."""
    session = deployment.session()
    chat = await node.chat(
        f"{session.at.url}{API}?protocol=text", session.id, ai=ai, transport="text"
    )

    await chat.send("plainly [[tokens=40 reasoning=10]]")
    end = await chat.settle()

    assert end["status"] == "ready"
    kept = (await session.snapshot())["messages"][-1]
    assert text_of(end["messages"][-1]) == text_of(kept) != ""


@pytest.mark.parametrize("cuts", [[600], [1000], [4000], [9000, 700], [2000, 3000]], ids=str)
@pytest.mark.parametrize("rate", [0, 300])
async def test_workflow_chat_ends_with_the_servers_message_through_cuts(
    rate: int, cuts: list[int], node: NodeHost, deployment: Deployment
) -> None:
    """After any cut it continues at the chunk that it had reached, and ends with the run.

    By default, this transport gives up at the third loss in a row.
    """
    session = deployment.session()
    gateway = deployment.gateways[1]
    async with faulty_proxy(gateway.at.port, cuts=cuts) as proxy:
        chat = await node.chat(
            f"http://127.0.0.1:{proxy.port}{API}", session.id, transport="workflow"
        )
        # Of this size, they are more bytes than the cuts take, however few chunks they are.
        await chat.send(f"[[tokens=150 size=100 rate={rate} first=0]]")
        end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert len(end["requests"]) == len(cuts) + 1
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_workflow_chat_makes_a_handful_of_requests_after_a_stop(
    node: NodeHost, deployment: Deployment
) -> None:
    """A stopped run ends with `finish`, without which this transport would ask for ever."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, transport="workflow")
    await chat.send("[[tokens=3000 rate=100]]")
    await chat.reach(40)

    await session.stop()
    end = await chat.settle()

    assert end["status"] == "ready"
    assert len(end["requests"]) <= 2
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_workflow_chat_resumes_after_a_reload(node: NodeHost, deployment: Deployment) -> None:
    """It asks by chat id for the raw chunks from the first."""
    session = deployment.session()
    answer = deployment.simulator.held()
    await session.begin(answer.question)
    held = as_ai5_holds((await session.snapshot())["messages"])

    chat = await node.chat(session.at.url + API, session.id, transport="workflow", messages=held)
    await chat.resume()
    await chat.reach(80)
    await answer.release()
    end = await chat.settle()

    assert end["status"] == "ready"
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_workflow_chat_ends_at_once_when_nothing_runs(
    node: NodeHost, deployment: Deployment
) -> None:
    """The answer for an idle or unknown chat is a 200 with `finish`."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, transport="workflow")

    await chat.resume()
    end = await chat.settle()

    assert [r["status"] for r in end["requests"]] == [200]
    assert end["error"] is None


async def test_workflow_chat_works_without_naming_its_chat(
    node: NodeHost, deployment: Deployment
) -> None:
    """As it comes it sends no chat id, and text/plain: the run id is all it needs."""
    session = Session(deployment.gateways[0].at)
    async with faulty_proxy(session.at.port, cuts=[1200]) as proxy:
        chat = await node.chat(
            f"http://127.0.0.1:{proxy.port}{API}", session.id, transport="workflow-plain"
        )
        await chat.send("[[tokens=100 size=20 rate=200 first=0]]")
        end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert [r["method"] for r in end["requests"]] == ["POST", "GET"]
    assert text_of(end["messages"][-1])
