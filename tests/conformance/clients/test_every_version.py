"""Every version of the AI SDK's client, from 4 to 7: reasoning, tools, and every type of chunk."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.deviations import deviates
from tests.support.fixtures import Deployment, start_deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.gateway import Settings
    from tests.support.node import NodeChat, NodeHost
    from tests.support.sessions import Session
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

VERSIONS: Final = [4, 5, 6, 7]
MODELS: Final = {
    "messages": "simulator",
    "responses": "simulator-openai",
    "completions": "simulator-openai-chat",
}
AGENTS: Final[Settings] = {
    # The demo's models have a tool that the client runs.
    "server": {"demo": True},
    **{
        f"agents.{name}": {"provider": provider, "model": "sim-instant"}
        for name, provider in MODELS.items()
    },
    "agents.everything": {"python": "tests.support.agents:everything"},
    "agents.answered": {"python": "tests.support.agents:answered"},
}


@pytest.fixture(scope="module")
def tooled(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway whose agents have tools."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tooled"), stack)
        made.add_gateway(AGENTS)
        yield made


async def open_chat(
    node: NodeHost,
    session: Session,
    ai: int,
    agent: str,
    query: str = "",
    *,
    resubmit: bool = False,
) -> NodeChat:
    """Return a chat of a version over a session, set up by its documentation."""
    query = "protocol=v4" if ai == 4 else query
    url = f"{session.at.url}/api/chat?{query}"
    return await node.chat(url, session.id, ai=ai, resubmit=resubmit, body={"agent": agent})


def calls_in(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a message's calls, in the client's own form."""
    return [
        part.get("toolInvocation", part)
        for part in message["parts"]
        if part["type"].startswith("tool-") or part["type"] == "dynamic-tool"
    ]


def text_in(message: dict[str, Any]) -> str:
    """Return a message's text."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@pytest.mark.parametrize("agent", MODELS)
@pytest.mark.parametrize("ai", VERSIONS)
async def test_chat_completes_a_conversation_with_reasoning_and_tools(
    ai: int, agent: str, node: NodeHost, tooled: Deployment
) -> None:
    """It thinks, asks for a tool that the client runs, gets the result, and answers."""
    session = tooled.session()
    chat = await open_chat(node, session, ai, agent)

    await chat.send('[[reasoning=12]] [[tool=get_weather {"city": "Bonn"}]]')
    asked = await chat.settle()
    assert (asked["status"], asked["error"]) == ("ready", None)
    (call,) = calls_in(asked["messages"][-1])
    assert call.get("args", call.get("input")) == {"city": "Bonn"}

    await chat.answer("get_weather", call["toolCallId"], {"weather": "purple rain"})
    answered = await chat.settle()
    assert (answered["status"], answered["error"]) == ("ready", None)
    assert "purple rain" in text_in(answered["messages"][-1])

    await chat.send("and then [[tokens=8 reasoning=4]]")
    end = await chat.settle()
    assert (end["status"], end["error"]) == ("ready", None)
    kept = (await session.snapshot())["messages"]
    assert [m["role"] for m in kept] == ["user", "assistant"] * 2
    assert [text_in(m) for m in end["messages"]] == [text_in(m) for m in kept]
    assert [m["id"] for m in end["messages"][1::2]] == [m["id"] for m in kept[1::2]]


@pytest.mark.parametrize("query", ["", "v=7"])
@pytest.mark.parametrize("ai", VERSIONS)
async def test_chat_reads_every_type_of_chunk(
    ai: int, query: str, node: NodeHost, tooled: Deployment
) -> None:
    """For any output of an agent, no client gets a chunk that its version rejects."""
    session = tooled.session()
    query = query and f"v={ai}"
    chat = await open_chat(node, session, ai, "everything", query, resubmit=True)

    await chat.send("go")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    answer = end["messages"][-1]
    assert text_in(answer) == "All of it."
    calls = {call["toolCallId"]: call for call in calls_in(answer)}
    assert list(calls) == ["c1", "c2", "c3", "c4"]
    assert calls["c1"].get("result", calls["c1"].get("output")) == {"seen": "all"}
    assert len(end["requests"]) == 1, "nothing waits for the client"
    if ai != 4:
        deviates("denied-left-out")
        assert (calls["c4"]["state"] == "output-denied") is (ai > 5 and query != "")


@deviates("v4-error-is-a-result")
@deviates("v4-left-out")
async def test_ai_4_sees_what_it_has_parts_for(node: NodeHost, tooled: Deployment) -> None:
    """A failed call has its error as its result; what ai 4 does not know is left out."""
    chat = await open_chat(node, tooled.session(), 4, "everything")

    await chat.send("go")
    answer = (await chat.settle())["messages"][-1]

    results = [call["result"] for call in calls_in(answer)]
    assert results == [
        {"seen": "all"},
        {"error": "not found"},
        {"error": "no such tool"},
        {"error": "The call was refused."},
    ]
    kinds = [part["type"] for part in answer["parts"] if part["type"] != "tool-invocation"]
    assert kinds == ["step-start", "reasoning", "step-start", "source", "file", "text"]


@deviates("v4-empty-step")
async def test_ai_4_does_not_send_again_what_is_answered(
    node: NodeHost, tooled: Deployment
) -> None:
    """With `maxSteps`, it would when a message ends in answered calls."""
    chat = await open_chat(node, tooled.session(), 4, "answered", resubmit=True)

    await chat.send("go")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert len(end["requests"]) == 1
    assert end["messages"][-1]["parts"][-1] == {"type": "step-start"}
