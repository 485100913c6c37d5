"""A stop ends the run on the server; whatever else ends a response does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("ai", [5, 6, 7])]

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


@pytest.mark.parametrize("leave", ["unmount", "switch", "navigate", "close"])
async def test_leaving_stops_nothing(
    deployment: Deployment, laptop: Profile, phone: Profile, ai: int, leave: str
) -> None:
    """The run goes on to its end when the page that sent it is gone."""
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
