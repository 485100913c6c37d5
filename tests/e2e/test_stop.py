"""A stop ends the run on the server; other ends of a response do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

SEND = b"POST /api/chat HTTP"
LONG = "How do rivers move? [[tokens=20000 rate=50]]"
SILENT = "How do rivers move? [[first=1h]]"
UNHEARD = "How do rivers move? [[headers=1h]]"


async def open_tab(session: Session, profile: Profile, ai: int) -> Tab:
    """A tab with the session, live. React's StrictMode has mounted it twice."""
    tab = await profile.open(session.at.url, session.id, ai=ai)
    await tab.until("chat.session.connection === 'live'")
    return tab


async def test_stop_after_send_ends_the_run(
    deployment: Deployment, laptop: Profile, ai: int
) -> None:
    """The tab that sent stops, mid-stream."""
    session = deployment.session()
    tab = await open_tab(session, laptop, ai)
    await tab.send(LONG)
    await tab.reads(20)

    await tab.stop()
    look = await tab.settles(messages=2)

    assert await session.is_ended()
    assert look["session"]["run"]["outcome"] == "stopped"
    assert look["messages"] == (await session.snapshot())["messages"]


async def test_stop_after_resume_ends_the_run(
    deployment: Deployment, laptop: Profile, ai: int
) -> None:
    """The tab that sent was loaded again, and then stops."""
    session = deployment.session()
    tab = await open_tab(session, laptop, ai)
    await tab.send(LONG)
    await tab.reads(20)
    await tab.reload()
    await tab.reads(20)

    await tab.stop()
    look = await tab.settles(messages=2)

    assert await session.is_ended()
    assert look["session"]["run"]["outcome"] == "stopped"
    assert look["messages"] == (await session.snapshot())["messages"]


async def test_stop_in_a_tab_that_watches_ends_the_run(
    deployment: Deployment, laptop: Profile, phone: Profile, ai: int
) -> None:
    """On a device that has sent nothing."""
    session = deployment.session()
    tab = await open_tab(session, laptop, ai)
    watching = await open_tab(session, phone, ai)
    await tab.send(LONG)
    await watching.reads(20)

    await watching.stop()
    shown = [await each.settles(messages=2) for each in (tab, watching)]

    assert await session.is_ended()
    kept = (await session.snapshot())["messages"]
    assert [look["messages"] for look in shown] == [kept, kept]


@pytest.mark.parametrize("question", [SILENT, UNHEARD])
async def test_stop_before_the_first_token_ends_the_run(
    deployment: Deployment, laptop: Profile, ai: int, question: str
) -> None:
    """The model has not said a word, or not even answered."""
    session = deployment.session()
    tab = await open_tab(session, laptop, ai)
    await tab.send(question)
    await tab.until("chat.session.run?.state === 'open'")

    await tab.stop()
    look = await tab.settles()

    assert await session.is_ended()
    assert look["session"]["run"]["outcome"] == "stopped"


async def test_stop_that_overtakes_its_send_prevents_it(
    deployment: Deployment, laptop: Profile, ai: int
) -> None:
    """The first message of a session, stopped on its way: kept as unsent, and shown again, its
    run stopped, when it arrives after all. The tab does not resume that run.
    """
    session = deployment.session()
    async with faulty_proxy(session.at.port) as proxy:
        tab = await open_tab(Session(Endpoint(proxy.port), session.id), laptop, ai)
        proxy.delay(SEND)
        await tab.send(LONG)
        await proxy.delays()

        await tab.stop()
        await tab.until("chat.session.unsent.length === 1 && chat.messages.length === 0")
        told = (await tab.look())["session"]["unsent"]
        proxy.arrive()
        await tab.until("chat.session.unsent.length === 0 && chat.session.run?.state === 'ended'")
        look = await tab.settles()

    assert told[0]["error"]["code"] == "stopped"
    assert look["session"]["run"]["outcome"] == "stopped"
    assert look["messages"] == (await session.snapshot())["messages"]
    assert "streaming" not in look["statuses"]


async def test_message_that_was_stopped_on_its_way_is_sent_again(
    deployment: Deployment, laptop: Profile, phone: Profile, ai: int
) -> None:
    """It follows the other device's messages, for all people."""
    session = deployment.session()
    answer = deployment.simulator.held()
    await answer.release()
    async with faulty_proxy(session.at.port) as proxy:
        tab = await open_tab(Session(Endpoint(proxy.port), session.id), laptop, ai)
        other = await open_tab(session, phone, ai)
        proxy.delay(SEND)
        await tab.send(f"{answer.question} mine")
        await proxy.delays()
        await tab.stop()
        await tab.until("chat.session.unsent.length === 1")
        await other.send(f"{answer.question} theirs")
        await tab.settles(messages=2)
        # Gone with its connection: what was delayed never arrives.
        proxy.cut_all()
        proxy.arrive()
        await tab.until("chat.session.connection === 'live'")

        await tab.run("() => window.chat.resend()")
        shown = [await each.settles(messages=4) for each in (tab, other)]

    kept = (await session.snapshot())["messages"]
    assert [look["messages"] for look in shown] == [kept, kept]
    asked = [text_of(message).split()[-1] for message in kept if message["role"] == "user"]
    assert asked == ["theirs", "mine"]
    assert [look["session"]["unsent"] for look in shown] == [[], []]


@pytest.mark.parametrize("leave", ["unmount", "switch", "navigate", "close"])
async def test_leaving_stops_nothing(
    deployment: Deployment, laptop: Profile, phone: Profile, ai: int, leave: str
) -> None:
    """The run continues to its end when the page that sent it is gone."""
    session = deployment.session()
    answer = deployment.simulator.held()
    tab = await open_tab(session, laptop, ai)
    await tab.send(answer.question)
    await tab.reads(20)

    match leave:
        case "unmount":
            await tab.show(None)
        case "switch":
            await tab.show(f"{session.id}-other")
        case "navigate":
            await tab.command("goto", url="about:blank")
        case _:
            await tab.close()
    other = await open_tab(session, phone, ai)
    await other.reads(20)
    await answer.release()
    look = await other.settles(messages=2)

    assert look["session"]["run"]["outcome"] == "finished"
    assert look["messages"] == (await session.snapshot())["messages"]


async def test_person_comes_back_to_a_chat_that_streams(
    deployment: Deployment, laptop: Profile, ai: int
) -> None:
    """Away to another chat and back, without loading the page again: it streams on."""
    session = deployment.session()
    answer = deployment.simulator.held()
    tab = await open_tab(session, laptop, ai)
    await tab.send(answer.question)
    await tab.reads(20)

    await tab.show(f"{session.id}-other")
    await tab.until("chat.messages.length === 0")
    await tab.show(session.id)
    await tab.reads(20)
    await answer.release()
    look = await tab.settles(messages=2)

    assert look["messages"] == (await session.snapshot())["messages"]
