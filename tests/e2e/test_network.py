"""Bad networks and dead gateways, in a real browser."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.proxy import FaultyProxy, faulty_proxy
from tests.support.sessions import Session, new_chat_id, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

CUTS = 10
LONG = "How do rivers move? [[tokens=20000 rate=50]]"
TOKENS, HELD_AFTER, TOKEN_BYTES = 400, 380, 6


async def open_through(proxy: FaultyProxy, profile: Profile, chat: str, ai: int = 7) -> Tab:
    """A tab that reaches its gateway through a proxy, live."""
    tab = await profile.open(Endpoint(proxy.port).url, chat, ai=ai)
    await tab.until("chat.session.connection === 'live'")
    return tab


async def cut_while_it_streams(proxy: FaultyProxy, tab: Tab, seed: int) -> None:
    """Reset every connection ten times, each after some more of the answer has come, as far
    as it goes before it is held.
    """
    # Characters: some of the text's take more than one byte.
    held = HELD_AFTER * TOKEN_BYTES * 9 // 10
    chance = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(CUTS):
        shown = text_of((await tab.look())["messages"][-1])
        await tab.reads(min(len(shown) + chance.randrange(1, 60), held))
        proxy.cut_all()


async def snapshot(deployment: Deployment, chat: str) -> list[Any]:
    """The session's messages, as the server has them."""
    return list((await Session(deployment.gateways[0].at, chat).snapshot())["messages"])


@pytest.mark.parametrize(
    "ai",
    [pytest.param(5, marks=pytest.mark.release), pytest.param(6, marks=pytest.mark.release), 7],
)
async def test_network_cut_ten_times_in_one_answer_costs_nothing(
    deployment: Deployment, laptop: Profile, phone: Profile, ai: int
) -> None:
    """Sender and watcher have the exact text, and one `onFinish`."""
    chat = new_chat_id()
    answer = deployment.simulator.held(tokens=TOKENS, after=HELD_AFTER, size=TOKEN_BYTES)
    async with faulty_proxy(deployment.gateways[0].at.port) as proxy:
        tabs = [await open_through(proxy, profile, chat, ai) for profile in (laptop, phone)]
        await tabs[0].send(answer.question)
        for tab in tabs:
            await tab.reads()

        await cut_while_it_streams(proxy, tabs[0], seed=ai)
        await answer.release()
        shown = [await tab.settles(messages=2) for tab in tabs]

    kept = await snapshot(deployment, chat)
    assert [look["messages"] for look in shown] == [kept, kept]
    for look in shown:
        assert len(look["finishes"]) == 1
        assert "error" not in look
        # Never idle in between; `submitted` may be too short to be rendered.
        seen = [status for status in look["statuses"] if status != "submitted"]
        assert seen == ["ready", "streaming", "ready"]


async def test_browser_goes_offline_and_comes_back(deployment: Deployment, laptop: Profile) -> None:
    """The page reports it, and then shows everything."""
    chat, answer = new_chat_id(), deployment.simulator.held()
    async with faulty_proxy(deployment.gateways[0].at.port) as proxy:
        tab = await open_through(proxy, laptop, chat)
        await tab.send(answer.question)
        await tab.reads(20)

        await laptop.offline(True)
        proxy.cut_all()
        await tab.until("chat.session.connection === 'offline'")
        await answer.release()
        await laptop.offline(False)
        look = await tab.settles(messages=2)

    assert look["messages"] == await snapshot(deployment, chat)
    assert len(look["finishes"]) == 1


async def test_gateway_killed_mid_answer_is_told_and_retried(
    own_deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """The gateway that writes an answer dies, and another one serves.

    Each tab shows that the answer was interrupted, and a retry from either brings a whole one.
    """
    dying, heir = own_deployment.add_gateways(2)
    chat = new_chat_id()
    async with faulty_proxy(dying.at.port) as proxy:
        tabs = [await open_through(proxy, profile, chat) for profile in (laptop, phone)]
        await tabs[0].send(LONG)
        for tab in tabs:
            await tab.reads(20)

        proxy.move_to(heir.at.port)
        dying.process.kill()
        for tab in tabs:
            await tab.until(
                "chat.session.run?.outcome === 'interrupted' && chat.status === 'error'"
            )
        told = [await tab.look() for tab in tabs]
        await tabs[1].run("() => window.chat.retry()")
        await tabs[0].reads(20)
        await tabs[0].stop()
        shown = [await tab.settles(messages=2) for tab in tabs]

    assert all(look["error"]["message"] for look in told)
    kept = (await Session(heir.at, chat).snapshot())["messages"]
    assert [look["messages"] for look in shown] == [kept, kept]
