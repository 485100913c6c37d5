"""ai 4 on `?protocol=v4`: what its `useChat` sends and reads, over a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sessions import Session, user_message

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeChat, NodeHost

pytestmark = pytest.mark.anyio


async def open_chat(node: NodeHost, session: Session, *, resubmit: bool = False) -> NodeChat:
    """Return an ai 4 chat over a session."""
    url = f"{session.at.url}/api/chat?protocol=v4"
    return await node.chat(url, session.id, ai=4, resubmit=resubmit)


def text_in(message: dict[str, Any]) -> str:
    """Return the text of a message of the server."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def kinds(message: dict[str, Any]) -> list[str]:
    """Return the types of a message's parts, in order."""
    return [part["type"] for part in message["parts"]]


async def test_v4_chat_ends_with_the_servers_text_reasoning_and_usage(
    node: NodeHost, deployment: Deployment
) -> None:
    """A plain answer with some thought: one step, its whole text, and its usage."""
    session = deployment.session()
    chat = await open_chat(node, session)

    await chat.send("[[tokens=60 rate=100 first=0 reasoning=20]] with some thought")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    kept = (await session.snapshot())["messages"][-1]
    answer = end["messages"][-1]
    assert answer["id"] == kept["id"]
    assert answer["content"] == text_in(kept) != ""
    assert kinds(answer) == ["step-start", "reasoning", "text"]
    (thought,) = [part for part in kept["parts"] if part["type"] == "reasoning"]
    (seen,) = [part for part in answer["parts"] if part["type"] == "reasoning"]
    assert seen["reasoning"] == thought["text"]
    assert seen["details"][0]["signature"] == thought["providerMetadata"]["anthropic"]["signature"]
    usage = kept["metadata"]["usage"]
    assert end["finishes"][0]["finishReason"] == "stop"
    assert end["finishes"][0]["usage"]["promptTokens"] == usage["inputTokens"]
    assert end["finishes"][0]["usage"]["completionTokens"] == usage["outputTokens"]


async def test_v4_chat_carries_a_conversation_over_several_sends(
    node: NodeHost, deployment: Deployment
) -> None:
    """Its messages have no ids, and yet each send is one message after the last answer."""
    session = deployment.session()
    chat = await open_chat(node, session)

    for text in ("same [[tokens=5]]", "same [[tokens=5]]", "now [[echo]]"):
        await chat.send(text)
        await chat.settle()
    end = await chat.look()

    messages = (await session.snapshot())["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 3
    assert [m["id"] for m in messages[1::2]] == [m["id"] for m in end["messages"][1::2]]
    assert text_in(messages[1]) in end["messages"][-1]["content"]


async def test_v4_chats_reload_answers_the_same_message_again(
    node: NodeHost, deployment: Deployment
) -> None:
    """`reload` sends the same message again: another answer takes the place of the first."""
    session = deployment.session()
    chat = await open_chat(node, session)
    await chat.send("one [[tokens=5]]")
    await chat.settle()
    await chat.send("two [[tokens=5]]")
    before = (await chat.settle())["messages"]

    await chat.regenerate()
    end = await chat.settle()

    messages = (await session.snapshot())["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[-1]["id"] == end["messages"][-1]["id"] != before[-1]["id"]
    assert messages[1]["id"] == before[1]["id"]


async def test_v4_chat_shows_a_failure(node: NodeHost, deployment: Deployment) -> None:
    """A run that fails ends in the client's error, in the words of the gateway."""
    session = deployment.session()
    chat = await open_chat(node, session)

    await chat.send("[[error=overloaded after=5]]")
    end = await chat.settle()

    assert end["status"] == "error"
    assert end["error"]
    assert text_in((await session.snapshot())["messages"][-1]) == end["messages"][-1]["content"]


async def test_v4_chat_keeps_the_text_of_a_stopped_run(
    node: NodeHost, deployment: Deployment
) -> None:
    """ai 4 has no abort: the answer ends where it was stopped, with no reason known."""
    session = deployment.session()
    chat = await open_chat(node, session)
    await chat.send("[[tokens=3000 rate=100]]")
    await chat.reach(40)

    await session.stop()
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert end["finishes"][0]["finishReason"] == "unknown"
    assert end["messages"][-1]["content"] == text_in((await session.snapshot())["messages"][-1])


async def test_v4_chat_takes_up_a_stopped_conversation(
    node: NodeHost, deployment: Deployment
) -> None:
    """After its own `stop`, which only ends its reading, and the server's, it can continue."""
    session = deployment.session()
    chat = await open_chat(node, session)
    await chat.send("[[tokens=3000 rate=100]]")
    await chat.reach(40)
    await chat.stop()
    await session.stop()
    await chat.settle()

    await chat.send("again [[tokens=5]]")
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    roles = [m["role"] for m in (await session.snapshot())["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_v4_message_is_what_other_clients_see(node: NodeHost, deployment: Deployment) -> None:
    """A message of ai 4 is like any other, and an ai 7 chat continues after it."""
    session = deployment.session()
    chat = await open_chat(node, session)
    await chat.send("first [[tokens=5]]")
    await chat.settle()

    await session.send("second [[tokens=5]]")
    messages = (await session.snapshot())["messages"]

    assert len(messages) == 4
    assert messages[0]["parts"] == user_message("first [[tokens=5]]")["parts"]
