"""Failures short of a lost connection: each leaves a chat that reports it and recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually, free_port
from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session, new_chat_id, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings

pytestmark = pytest.mark.anyio

HOUR_S = 3600


async def live(tab: Tab) -> Tab:
    """Return a tab once its session is live."""
    await tab.until("chat.session.connection === 'live'")
    return tab


async def kept(session: Session) -> list[Any]:
    """The session's messages, as the server has them."""
    return list((await session.snapshot())["messages"])


async def test_page_is_loaded_while_the_gateway_is_away(
    deployment: Deployment, laptop: Profile
) -> None:
    """It reports that; when the gateway is back, the history is shown and sends are answered."""
    session = deployment.session()
    await session.send("[[tokens=5 rate=0]]")
    async with faulty_proxy(free_port()) as proxy:
        tab = await laptop.open(Endpoint(proxy.port).url, session.id)
        away = await tab.look()
        proxy.move_to(session.at.port)
        await live(tab)
        await tab.until("chat.messages.length === 2")
        await tab.send("[[tokens=5 rate=0]]")
        look = await tab.settles(messages=4)

    assert (away["session"]["connection"], away["session"]["loaded"]) == ("reconnecting", False)
    assert away["status"] == "ready"
    assert look["messages"] == await kept(session)


async def test_laptop_sleeps_for_an_hour_while_the_answer_goes_on(
    deployment: Deployment, laptop: Profile
) -> None:
    """Its connections have died without a word; awake, it has the whole answer, once."""
    session, answer = deployment.session(), deployment.simulator.held()
    async with faulty_proxy(session.at.port) as proxy:
        tab = await live(await laptop.open(Endpoint(proxy.port).url, session.id, clock=True))
        await tab.send(answer.question)
        await tab.reads(20)

        proxy.hold()
        await answer.release()
        await eventually(session.is_ended, "the answer ends")
        await tab.sleep(HOUR_S)
        proxy.cut_all()
        proxy.release()
        look = await tab.settles(messages=2)

    assert look["messages"] == await kept(session)
    assert len(look["finishes"]) == 1
    assert "error" not in look


async def test_message_that_is_too_large_is_told_and_kept(
    own_deployment: Deployment, laptop: Profile
) -> None:
    """As unsent: in the chat it would travel with every message to come, and be refused again."""
    own_deployment.add_gateway({"server": {"max_body_bytes": 4096}})
    session = own_deployment.session()
    tab = await live(await laptop.open(session.at.url, session.id))

    await tab.send("x" * 5000)
    await tab.until("chat.session.unsent.length === 1 && chat.messages.length === 0")
    told = (await tab.look())["session"]["unsent"][0]
    await tab.send("[[tokens=5 rate=0]]")
    look = await tab.settles(messages=2)

    assert (told["error"]["code"], len(text_of(told["message"]))) == ("too_large", 5000)
    assert look["messages"] == await kept(session)


async def test_session_is_deleted_in_another_tab(deployment: Deployment, laptop: Profile) -> None:
    """While it writes an answer: both are empty, and say why; the next message begins anew."""
    session, answer = deployment.session(), deployment.simulator.held()
    tabs = [await live(await laptop.open(session.at.url, session.id)) for _ in range(2)]
    await tabs[0].send(answer.question)
    for tab in tabs:
        await tab.reads(20)

    status, _ = await session.at.call("DELETE", f"/api/chat/{session.id}")
    for tab in tabs:
        await tab.until("chat.session.deleted && chat.messages.length === 0")
    await tabs[1].send("[[tokens=5 rate=0]]")
    for tab in tabs:
        await tab.until("!chat.session.deleted && chat.session.run?.state === 'ended'")
    shown = [await tab.settles(messages=2) for tab in tabs]

    assert status == 204
    messages = await kept(session)
    assert [look["messages"] for look in shown] == [messages, messages]
    assert [look["session"]["deleted"] for look in shown] == [False, False]


async def test_answer_is_followed_through_a_rolling_restart(
    own_deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """People notice nothing.

    Each of two gateways behind a balancer is drained and replaced while one of them writes an
    answer.
    """
    patient: Settings = {"server": {"drain_limit_s": 600.0}}
    writing, other = own_deployment.add_gateways(2, patient)
    chat = new_chat_id()
    first, second = (own_deployment.simulator.held(tokens=90, after=n, size=6) for n in (30, 60))
    async with faulty_proxy(writing.at.port) as balancer:
        at = Endpoint(balancer.port).url
        tabs = [await live(await profile.open(at, chat)) for profile in (laptop, phone)]
        await tabs[0].send(f"{first.question} {second.directive}")
        for tab in tabs:
            await tab.reads(20)

        balancer.move_to(other.at.port)
        writing.terminate()
        await first.release()
        for tab in tabs:
            await tab.reads(30 * 6 + 20)

        heir = own_deployment.add_gateway(patient)
        balancer.move_to(heir.at.port)
        other.terminate()
        assert other.process.wait_exit() == 0
        await second.release()
        looks = [await tab.settles(messages=2) for tab in tabs]
        assert writing.process.wait_exit() == 0

        await tabs[1].send("[[tokens=5 rate=0]]")
        for tab in tabs:
            await tab.settles(messages=4)

    messages = (await kept(Session(heir.at, chat)))[:2]
    assert [look["messages"] for look in looks] == [messages, messages]
    assert looks[0]["session"]["run"]["outcome"] == "finished"
    for look in looks:
        assert len(look["finishes"]) == 1
        assert "error" not in look
        seen = [status for status in look["statuses"] if status != "submitted"]
        assert seen == ["ready", "streaming", "ready"]
