"""The same conversation in two tabs of the real client, with each kind of agent."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.agents.conftest import AGENTS
from tests.support.processes import eventually
from tests.support.sessions import as_ai5_holds, text_of

if TYPE_CHECKING:
    from tests.conformance.agents.conftest import Backends
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeChat, NodeHost
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio
for_each_agent = pytest.mark.parametrize("agent", AGENTS)

LONG = "[[tokens=3000 rate=60 first=0]]"


async def tab(node: NodeHost, session: Session, agent: str, messages: Any = ()) -> NodeChat:
    """Open the session in a tab, through the gateway that it names."""
    url = f"{session.at.url}/api/chat"
    return await node.chat(url, session.id, messages=messages, body={"agent": agent})


async def reloaded(node: NodeHost, session: Session, agent: str) -> NodeChat:
    """Open it again, with the messages that the server has, and resume."""
    held = as_ai5_holds((await session.snapshot())["messages"])
    chat = await tab(node, session, agent, held)
    await chat.resume()
    return chat


@for_each_agent
async def test_both_tabs_end_with_the_whole_message_after_a_reload_mid_stream(
    agent: str, node: NodeHost, with_agents: Deployment
) -> None:
    """One sends and reads live; the other comes mid-stream, through another gateway."""
    session = with_agents.session()
    elsewhere = session.through(with_agents.gateways[1].at)
    first = await tab(node, session, agent)
    answer = with_agents.simulator.held()
    await first.send(answer.question)
    await first.reach(80)

    second = await reloaded(node, elsewhere, agent)
    await second.reach(80)
    await answer.release()
    resumed, original = await second.settle(), await first.settle()

    assert (original["status"], original["error"]) == ("ready", None)
    assert resumed["messages"] == original["messages"]
    assert original["messages"] == as_ai5_holds((await session.snapshot())["messages"])
    assert original["finishes"][-1]["finishReason"] == "stop"


@for_each_agent
async def test_second_turn_knows_the_first(
    agent: str, node: NodeHost, with_agents: Deployment
) -> None:
    """The agent is given the conversation of the server's log."""
    session = with_agents.session()
    chat = await tab(node, session, agent)
    await chat.send("one [[tokens=6]]")
    said = text_of((await chat.settle())["messages"][-1])

    await chat.send("two [[echo]]")
    end = await chat.settle()

    assert len(end["messages"]) == 4
    assert said in text_of(end["messages"][-1])


@for_each_agent
async def test_stop_from_the_other_tab_ends_both_and_the_providers_work(
    agent: str, node: NodeHost, with_agents: Deployment
) -> None:
    """The text so far is kept, both are ready, and the provider stops generating."""
    session = with_agents.session()
    elsewhere = session.through(with_agents.gateways[1].at)
    mark = secrets.token_hex(8)
    first = await tab(node, session, agent)
    await first.send(f"{mark} {LONG}")
    await first.reach(60)
    second = await reloaded(node, elsewhere, agent)
    await second.reach(60)

    stopped = await elsewhere.stop()
    ends = [await first.settle(), await second.settle()]

    assert len(stopped) == 1
    snapshot = await session.snapshot()
    kept = snapshot["messages"]
    assert snapshot["runs"][-1]["outcome"] == "stopped"
    for end in ends:
        assert (end["status"], end["error"]) == ("ready", None)
        assert end["messages"] == as_ai5_holds(kept)
        assert "streaming" not in {part.get("state") for part in end["messages"][-1]["parts"]}
    assert text_of(kept[-1])

    async def is_left() -> bool:
        requests = await with_agents.simulator.requests(mark)
        return {request["ended"] for request in requests} == {"disconnected"}

    await eventually(is_left, "the provider's connection is closed")


async def test_tabs_of_a_killed_gateway_see_the_end(
    node: NodeHost, backends: Backends, own_deployment: Deployment
) -> None:
    """The lease expires, each run is closed with a sentence, and the text before it is kept."""
    producer, survivor = own_deployment.add_gateways(
        2, backends.settings, environment=backends.environment
    )

    async def follow(agent: str) -> tuple[Session, NodeChat]:
        """Send in one tab, and read in another through the gateway that survives."""
        session = own_deployment.session()
        elsewhere = session.through(survivor.at)
        first = await tab(node, session, agent)
        await first.send(LONG)
        await first.reach(60)
        second = await reloaded(node, elsewhere, agent)
        await second.reach(60)
        return elsewhere, second

    followed = await asyncio.gather(*map(follow, AGENTS))
    producer.process.kill()
    async with asyncio.timeout(30):
        ends = await asyncio.gather(*(second.settle() for _, second in followed))

    for agent, (session, _), end in zip(AGENTS, followed, ends, strict=True):
        assert end["status"] == "error", agent
        assert "interrupted" in end["error"], agent
        kept = await session.snapshot()
        assert kept["runs"][-1]["outcome"] == "interrupted", agent
        assert text_of(kept["messages"][-1]) == text_of(end["messages"][-1]) != "", agent

        after = await tab(node, session, agent, as_ai5_holds(kept["messages"]))
        await after.send("again [[tokens=5]]")
        assert (await after.settle())["finishes"][-1]["finishReason"] == "stop", agent
