"""DefaultChatTransport of ai 5, 6 and 7: the transport of an unchanged `useChat` frontend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, as_ai5_holds, text_of, user_message

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

API = "/api/chat"
EVERYTHING = "[[tokens=60 rate=100 first=0 reasoning=20]] with some thought"


async def test_chat_ends_with_the_servers_message_after_a_send(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """The message that the chat assembled from the stream equals the server's."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)

    await chat.send(EVERYTHING)
    end = await chat.settle()

    assert (end["status"], end["error"]) == ("ready", None)
    assert [m["role"] for m in end["messages"]] == ["user", "assistant"]
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])
    assert end["finishes"][0]["isError"] is False


async def test_chat_carries_a_conversation_over_several_sends(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """The second request reaches the provider with the first answer in its history."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)

    await chat.send("one [[tokens=5]]")
    first = (await chat.settle())["messages"][-1]
    await chat.send("two [[echo]]")
    end = await chat.settle()

    assert len(end["messages"]) == 4
    assert text_of(first) in text_of(end["messages"][-1])
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_second_chat_resumes_mid_stream_to_the_same_message(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A reload, or another device through another gateway, ends with the first tab's message."""
    session = deployment.session()
    elsewhere = session.through(deployment.gateways[1].at)
    answer = deployment.simulator.held()
    first = await node.chat(session.at.url + API, session.id, ai=ai)
    await first.send(answer.question)
    await first.reach(80)

    held = as_ai5_holds((await elsewhere.snapshot())["messages"])
    second = await node.chat(elsewhere.at.url + API, session.id, ai=ai, messages=held)
    await second.resume()
    await second.reach(80)
    await answer.release()
    resumed, original = await second.settle(), await first.settle()

    assert resumed["status"] == "ready"
    assert [m["role"] for m in held] == ["user"], "the snapshot leaves out what the run adds"
    assert resumed["messages"] == original["messages"]
    assert resumed["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_chat_resumes_between_accept_and_first_token(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A run that has said nothing yet is there to be resumed."""
    session = deployment.session()
    answer = deployment.simulator.held(after=0)
    await session.begin(answer.question)

    held = as_ai5_holds((await session.snapshot())["messages"])
    chat = await node.chat(session.at.url + API, session.id, ai=ai, messages=held)
    await chat.resume()

    async def is_answered() -> bool:
        return [request["status"] for request in (await chat.look())["requests"]] == [200]

    await eventually(is_answered, "the resume is answered")
    await answer.release()
    end = await chat.settle()

    assert end["status"] == "ready"
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])
    assert text_of(end["messages"][-1])


async def test_chat_stays_as_it_is_when_nothing_runs(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A resume of an idle or unknown chat is null."""
    session = deployment.session()
    await session.send("hello [[tokens=5]]")
    held = as_ai5_holds((await session.snapshot())["messages"])

    for known, chat_id in ((held, session.id), ([], Session(session.at).id)):
        chat = await node.chat(session.at.url + API, chat_id, ai=ai, messages=known)
        await chat.resume()
        end = await chat.settle()

        assert [r["status"] for r in end["requests"]] == [204]
        assert (end["status"], end["messages"]) == ("ready", known)


async def test_chat_regenerates_the_last_answer(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A regenerate replaces the answer, in the chat and on the server."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)
    await chat.send("again [[tokens=8]]")
    before = (await chat.settle())["messages"]

    await chat.regenerate()
    after = (await chat.settle())["messages"]

    assert [m["role"] for m in after] == ["user", "assistant"]
    assert after[0] == before[0]
    assert after[1]["id"] != before[1]["id"]
    assert after == as_ai5_holds((await session.snapshot())["messages"])


async def test_chat_regenerates_a_message_that_never_arrived(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A regenerate after a failed send is that send."""
    session = deployment.session()
    lost = user_message("lost on the way [[tokens=5]]")
    chat = await node.chat(session.at.url + API, session.id, ai=ai, messages=[lost])

    await chat.regenerate()
    end = await chat.settle()

    assert [m["role"] for m in end["messages"]] == ["user", "assistant"]
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_chat_shows_a_sentence_when_the_provider_fails(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A failure in the middle of an answer is an error, and the text before it is kept."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)

    await chat.send("[[tokens=40 rate=200 error=server after=20]]")
    end = await chat.settle()

    assert end["status"] == "error"
    assert end["error"] and "Internal server error" not in end["error"]
    assert text_of(end["messages"][-1])
    assert end["finishes"] == [end["finishes"][0]]
    assert end["finishes"][0]["isError"] is True


async def test_chat_ends_ready_when_somebody_else_stops_the_run(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A stop from elsewhere leaves every reader ready, with no part still streaming."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai)
    await chat.send("[[tokens=2000 rate=100 reasoning=5]]")
    await chat.reach(40)

    stopped = await session.through(deployment.gateways[1].at).stop()
    end = await chat.settle()

    assert len(stopped) == 1
    assert (end["status"], end["error"]) == ("ready", None)
    assert "streaming" not in {part.get("state") for part in end["messages"][-1]["parts"]}
    assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])


async def test_second_send_is_refused_while_a_run_is_active(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """The tab that comes second keeps its message and sees a clear refusal."""
    session = deployment.session()
    await session.begin("[[tokens=3000 rate=50]]")
    held = as_ai5_holds((await session.snapshot())["messages"])
    chat = await node.chat(session.at.url + API, session.id, ai=ai, messages=held)

    await chat.send("me too")
    end = await chat.settle()

    assert end["requests"][-1]["status"] == 409
    assert end["status"] == "error"
    assert text_of(end["messages"][-1]) == "me too"
    assert text_of((await session.snapshot())["messages"][-1]) != "me too"
    await session.stop()


async def test_stopped_chat_does_not_post_again_for_ever(
    ai: int, node: NodeHost, deployment: Deployment
) -> None:
    """A chat that continues by itself after a stopped tool call is refused, not looped."""
    session = deployment.session()
    chat = await node.chat(session.at.url + API, session.id, ai=ai, resubmit=True)
    await chat.send("[[tokens=2000 rate=100]]")
    await chat.reach(40)

    await session.stop()
    end = await chat.settle()

    assert len(end["requests"]) <= 3
