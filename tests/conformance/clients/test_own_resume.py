"""Chats that resume while their own send streams, as vercel/chatbot does for a new chat."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.answers import settings_with_tools
from tests.support.fixtures import start_deployment
from tests.support.processes import eventually
from tests.support.sessions import Session, as_ai5_holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Deployment
    from tests.support.node import NodeChat, NodeHost
    from tests.support.simulator import Simulator

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

THINKS: Final = "[[reasoning=8 rate=0 tokens=40]]"
ANSWERED_HERE: Final = '[[tool=add {"one": 1234567, "two": 7654321}]]'
ANSWERED_BY_THE_PAGE: Final = '[[tool=where {"in": "which city, and which country?"}]]'


@pytest.fixture(scope="module")
def tools(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway whose agents have tools."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateway(settings_with_tools())
        yield made


def parts_of(message: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a message's parts as a person sees them."""
    seen = [part for part in message["parts"] if part["type"] not in ("step-start", "custom")]
    return [(part["type"], part.get("text"), part.get("toolCallId")) for part in seen]


async def shows(chat: NodeChat, kind: str) -> None:
    """Wait until the answer has a part of a kind."""

    async def has() -> bool:
        last = (await chat.look())["messages"][-1]
        return any(part["type"] == kind for part in last["parts"])

    await eventually(has, f"the answer has {kind}")


@pytest.mark.parametrize("call", [ANSWERED_HERE, ANSWERED_BY_THE_PAGE])
async def test_answer_is_shown_once_if_a_tool_s_input_streams(
    ai: int, call: str, node: NodeHost, tools: Deployment, simulator: Simulator
) -> None:
    """A thought and a call: neither is there twice, whether the run continues after it or not."""
    session = Session(tools.gateways[0].at)
    held = simulator.held(after=9)
    chat = await node.chat(session.at.url + "/api/chat", session.id, ai=ai, transport="hook")
    await chat.send(f"{THINKS} {held.directive} {call}")
    await shows(chat, "tool-add" if call is ANSWERED_HERE else "tool-where")
    await chat.resume()

    async def asked() -> bool:
        requests = (await chat.look())["requests"]
        # ai 5 has read its message already: it must not get the run.
        return len(requests) == 2 and (ai > 5 or requests[1]["status"] == 204)

    await eventually(asked, "the page asks to resume")
    for _ in range(20):  # by then the gateway has the request, which it does not answer yet
        await session.snapshot()
    await held.release()
    end = await chat.settle()
    await eventually(session.is_ended, "the run ends")

    kept = (await session.snapshot())["messages"]
    assert (end["status"], end["error"]) == ("ready", None)
    assert [message["role"] for message in end["messages"]] == ["user", "assistant"]
    assert parts_of(end["messages"][-1]) == parts_of(kept[-1])


async def test_answer_of_words_is_read_twice_and_shown_once(
    ai: int, node: NodeHost, tools: Deployment, simulator: Simulator
) -> None:
    """Another tab may be resuming: both get the run."""
    session = Session(tools.gateways[0].at)
    held = simulator.held()
    chat = await node.chat(session.at.url + "/api/chat", session.id, ai=ai, transport="hook")
    await chat.send(held.question)
    await chat.reach(20)
    await chat.resume()

    async def resumed() -> bool:
        return [each["status"] for each in (await chat.look())["requests"]] == [200, 200]

    await eventually(resumed, "the run is resumed")
    await held.release()
    end = await chat.settle()

    kept = (await session.snapshot())["messages"]
    assert as_ai5_holds(end["messages"]) == as_ai5_holds(kept)
