"""Tabs and devices with one session open show the same, in a real browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sessions import Session, new_chat_id

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

LONG = "How do rivers move? [[tokens=20000 rate=50]]"


async def text_of(tab: Tab) -> str:
    """The last message's text."""
    last = (await tab.look())["messages"][-1]
    return "".join(part["text"] for part in last["parts"] if part["type"] == "text")


async def snapshot(deployment: Deployment, chat: str) -> list[Any]:
    """The session's messages, as the server has them."""
    at = deployment.gateways[0].at
    status, answer = await at.call("GET", f"/api/chat/{chat}")
    assert status == 200, answer
    return list(answer["messages"])


async def open_two(deployment: Deployment, profile: Profile) -> tuple[str, Tab, Tab]:
    """A new session in two tabs that are live."""
    chat, at = new_chat_id(), deployment.gateways[0].at.url
    tabs = [await profile.open(at, chat) for _ in range(2)]
    for tab in tabs:
        await tab.until("chat.session.connection === 'live'")
    return chat, tabs[0], tabs[1]


async def test_second_tab_sees_the_prompt_and_the_tokens_of_the_first_live(
    deployment: Deployment, laptop: Profile
) -> None:
    """Both stream, both are ready, and both are equal to the server's snapshot."""
    chat, first, second = await open_two(deployment, laptop)
    answer = deployment.simulator.held()

    await first.send(answer.question)
    await asyncio.gather(first.reads(20), second.reads(20))
    seen = (await second.look())["messages"]
    await answer.release()
    shown = [await tab.settles(messages=2) for tab in (first, second)]

    assert [message["role"] for message in seen] == ["user", "assistant"]
    assert seen[0]["parts"][0]["text"] == answer.question
    kept = await snapshot(deployment, chat)
    for look in shown:
        assert look["messages"] == kept
        assert "streaming" in look["statuses"]
        assert len(look["finishes"]) == 1


async def test_stop_in_the_second_tab_ends_the_answer_in_the_first(
    deployment: Deployment, laptop: Profile
) -> None:
    """The run ends on the server, and all tabs show the kept part."""
    chat, first, second = await open_two(deployment, laptop)
    await first.send(LONG)
    await asyncio.gather(first.reads(20), second.reads(20))

    await second.stop()
    shown = [await tab.settles(messages=2) for tab in (first, second)]

    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]
    assert {look["session"]["run"]["outcome"] for look in shown} == {"stopped"}


async def test_person_reloads_mid_stream_and_gets_the_whole_answer(
    deployment: Deployment, laptop: Profile
) -> None:
    """Equal to a tab that never left."""
    chat, first, second = await open_two(deployment, laptop)
    answer = deployment.simulator.held()
    await first.send(answer.question)
    await first.reads(20)

    await first.reload()
    await first.reads(20)
    await answer.release()
    shown = [await tab.settles(messages=2) for tab in (first, second)]

    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]
    assert len(shown[0]["finishes"]) == 1


async def test_person_reloads_before_the_first_token_and_gets_the_whole_answer(
    deployment: Deployment, laptop: Profile
) -> None:
    """The send was accepted: nothing of it depends on the page that sent it."""
    chat, first, second = await open_two(deployment, laptop)
    answer = deployment.simulator.held(after=0)
    await first.send(answer.question)
    await first.until("chat.session.run?.state === 'open'")

    await first.reload()
    await first.until("chat.session.run?.state === 'open' && chat.messages.length > 0")
    await answer.release()
    shown = [await tab.settles(messages=2) for tab in (first, second)]

    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]


async def test_person_goes_on_reading_on_another_device(
    deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """Opened in another browser profile through another gateway, the first one closed."""
    chat, answer = new_chat_id(), deployment.simulator.held()
    first = await laptop.open(deployment.gateways[0].at.url, chat)
    await first.send(answer.question)
    await first.reads(20)
    await first.close()

    second = await phone.open(deployment.gateways[1].at.url, chat)
    await second.reads(20)
    await answer.release()
    look = await second.settles(messages=2)

    assert look["messages"] == await snapshot(deployment, chat)


async def test_tabs_send_at_the_same_moment_and_neither_message_is_lost(
    deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """One run begins; the other message is kept as unsent, and one call sends it again."""
    chat, answer = new_chat_id(), deployment.simulator.held()
    tabs = [
        await profile.open(gateway.at.url, chat)
        for profile, gateway in zip((laptop, phone), deployment.gateways, strict=True)
    ]
    for tab in tabs:
        await tab.until("chat.session.connection === 'live'")

    await asyncio.gather(*(tab.send(f"{answer.question} {tab.name}") for tab in tabs))
    for tab in tabs:
        await tab.reads(20)
    refused = [tab for tab in tabs if (await tab.look())["session"]["unsent"]]
    (loser,) = refused
    unsent = (await loser.look())["session"]["unsent"]
    await answer.release()
    await loser.settles(messages=2)
    await loser.run("() => window.chat.resend()")
    shown = [await tab.settles(messages=4) for tab in tabs]

    texts = {tab: f"{answer.question} {tab.name}" for tab in tabs}
    assert [entry["message"]["parts"][0]["text"] for entry in unsent] == [texts[loser]]
    assert unsent[0]["error"]["code"] == "run_active"
    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]
    assert [look["session"]["unsent"] for look in shown] == [[], []]
    sent = [m["parts"][0]["text"] for m in kept if m["role"] == "user"]
    assert sorted(sent) == sorted(texts.values())


async def test_tab_whose_message_is_refused_goes_on_with_the_answer_that_it_watched(
    deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """Also while the model is silent: the message steps aside at once, and Stop still stops."""
    chat, answer = new_chat_id(), deployment.simulator.held()
    first = await laptop.open(deployment.gateways[0].at.url, chat)
    second = await phone.open(deployment.gateways[1].at.url, chat)
    await second.until("chat.session.connection === 'live'")
    await first.send(answer.question)
    await second.reads(20)

    await second.send("And lakes?")
    await second.until("chat.session.unsent.length === 1 && chat.messages.length === 2")
    await second.reads(20)
    await second.stop()
    shown = [await tab.settles(messages=2) for tab in (first, second)]

    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]
    assert shown[1]["session"]["run"]["outcome"] == "stopped"
    (unsent,) = shown[1]["session"]["unsent"]
    assert unsent["message"]["parts"][0]["text"] == "And lakes?"


async def test_stock_transport_follows_beside_ours(
    deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """A page with the SDK's own transport and `resume: true` opens the session mid-stream."""
    chat, at = new_chat_id(), deployment.gateways[0].at.url
    answer = deployment.simulator.held()
    ours = await laptop.open(at, chat)
    await ours.send(answer.question)
    await ours.reads(20)

    stock = await phone.open(at, chat, transport="stock")
    await stock.reads(20)
    await answer.release()
    look = await ours.settles(messages=2)
    await stock.settles()

    assert look["messages"] == await snapshot(deployment, chat)
    assert await text_of(stock) == await text_of(ours)
    assert (await stock.look())["finishes"][0]["isError"] is False


async def test_ours_follows_what_the_stock_transport_sends(
    deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """The other way round: the sender need not know our package."""
    at = deployment.gateways[0].at
    session = Session(at)
    ours = await laptop.open(at.url, session.id)
    stock = await phone.open(at.url, session.id, transport="stock")
    await ours.until("chat.session.connection === 'live'")

    answer = deployment.simulator.held()
    await stock.send(answer.question)
    await asyncio.gather(stock.reads(20), ours.reads(20))
    await answer.release()
    look = await ours.settles(messages=2)
    await stock.settles(messages=2)

    assert look["messages"] == await snapshot(deployment, session.id)
    assert await text_of(stock) == await text_of(ours)
