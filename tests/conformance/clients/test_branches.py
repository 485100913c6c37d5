"""The place of an unchanged client's send, and the recipe that sends only the last message."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.frontends import snippets
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeChat, NodeHost

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

API: Final = "/api/chat"
PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(2_100_000)
"""2.8 MB as a data URL: the fourth such list is over the gateway's limit."""


def recipe() -> str:
    """Return docs/frontend.md's transport, as it stands there."""
    (found,) = [each.text for each in snippets() if each.file == "react/src/stock.ts"]
    return found


async def say(chat: NodeChat, text: str, *, edits: str | None = None) -> list[dict[str, Any]]:
    """Send, and return the chat's messages once they are answered."""
    await chat.send(text, edits=edits)
    end = await chat.settle()
    assert (end["status"], end["error"]) == ("ready", None)
    return list(end["messages"])


async def test_stock_chat_is_answered_on_what_it_shows(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """An edit that cuts the list; then back to the first branch; the feed names the other one."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)
    await say(chat, "one [[tokens=2]]")
    older = await say(chat, "two [[tokens=2]]")
    await chat.cut(2)
    edited = await say(chat, "two, edited [[echo]]")
    assert "two [[" not in text_of(edited[-1])

    again = await node.chat(session.at.url + API, session.id, ai=ai, messages=older)
    read = text_of((await say(again, "three [[echo]]"))[-1])
    assert "two [[" in read
    assert "edited" not in read
    snapshot = await session.snapshot()
    versions = [older[2]["id"], edited[2]["id"]]
    assert snapshot["branches"] == {older[2]["id"]: {"ids": versions, "index": 0}}


async def test_stock_chat_that_is_loaded_again_agrees_with_the_model_after_changes_elsewhere(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """After an edit, a regeneration and a selection in another tab, it shows what is read."""
    session = deployment.session()
    address = session.at.url + API

    async def loaded() -> NodeChat:
        kept = (await session.snapshot())["messages"]
        return await node.chat(address, session.id, ai=ai, messages=kept)

    async def agrees(question: str, *shown: str) -> None:
        chat = await loaded()
        texts = [text_of(message) for message in (await chat.look())["messages"]]
        assert [text for text in texts if text.startswith("Q")] == list(shown)
        await say(chat, question)
        assert await deployment.simulator.read(question) == [*texts, question]

    name = f"[[tokens=3]] {session.id}"
    elsewhere = await node.chat(address, session.id, ai=ai)
    await say(elsewhere, f"Q one {name}")
    kept = await say(elsewhere, f"Q two {name}")
    await say(elsewhere, f"Q 2nd {name}", edits=kept[2]["id"])
    await agrees(f"Q three {name}", f"Q one {name}", f"Q 2nd {name}")

    elsewhere = await loaded()
    before = (await session.snapshot())["messages"][-1]["id"]
    await elsewhere.regenerate()
    assert (await elsewhere.settle())["error"] is None
    path = (f"Q one {name}", f"Q 2nd {name}", f"Q three {name}")
    await agrees(f"Q four {name}", *path)

    _, chosen = await session.at.call(
        "POST", f"/api/chat/{session.id}/select", {"messageId": before}
    )
    assert chosen["head"] == before
    await agrees(f"Q five {name}", *path)
    snapshot = await session.snapshot()
    assert before in [message["id"] for message in snapshot["messages"]]
    assert f"Q four {name}" not in [text_of(message) for message in snapshot["messages"]]


async def test_recipe_edits_the_first_message_and_sends_a_cleared_chat_nowhere_else(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """As assistant-ui edits. Without the recipe such a list goes to the end; it deletes nothing."""
    session = deployment.session()
    stock = await node.chat(session.at.url + API, session.id, ai=ai)
    await say(stock, "one [[tokens=2]]")
    await stock.cut(0)
    assert "one [[" in text_of((await say(stock, "more [[echo]]"))[-1])

    whole = (await session.snapshot())["messages"]
    assert len(whole) == 4
    chat = await node.chat(
        session.at.url + API,
        session.id,
        ai=ai,
        transport="recipe",
        recipe=recipe(),
        messages=whole,
    )
    await chat.cut(0)
    edited = await say(chat, "one, edited [[echo]]")
    assert "one [[" not in text_of(edited[-1])
    assert [m["id"] for m in (await session.snapshot())["messages"]] == [m["id"] for m in edited]


async def test_recipe_sends_pictures_once(ai: int, node: NodeHost, deployment: Deployment) -> None:
    """More of them than one request may hold, in messages that follow one another."""
    session = deployment.session()
    address = session.at.url + API
    chat = await node.chat(address, session.id, ai=ai, transport="recipe", recipe=recipe())
    picture = {
        "type": "file",
        "mediaType": "image/png",
        "url": f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}",
    }
    for number in range(4):
        await chat.send(f"{number} [[tokens=2]]", [picture])
        end = await chat.settle()
        assert (end["status"], end["error"]) == ("ready", None)
    assert len((await session.snapshot())["messages"]) == 8
    assert max(request["length"] for request in end["requests"]) < 3_000_000
