"""Tools, an approval and a client's tool, in a real browser: asked here, answered there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.answers import FIVE_STEPS, outputs, settings_with_tools
from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session, new_chat_id, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

RESULTS: list[tuple[str, object]] = [
    ("tool-add", 3),
    ("tool-meet", "met noon"),
    ("tool-meet", "met noon"),
    ("tool-transfer", {"sent": 5}),
    ("tool-transfer", {"sent": 50}),
    ("tool-where", {"city": "Bonn"}),
    ("tool-add", 7),
    ("tool-count", 3),
]


async def waits(tab: Tab, state: str) -> dict[str, Any]:
    """Wait until the last message has a call in that state, and nothing runs; return the call."""
    await tab.until(
        "chat.status === 'ready' && chat.session.phase === 'idle'"
        " && last?.parts.some(part => part.state === argument)",
        state,
    )
    last = (await tab.look())["messages"][-1]
    [part] = [part for part in last["parts"] if part.get("state") == state]
    return dict(part)


async def allow(tab: Tab, call: dict[str, Any]) -> None:
    """Allow a call by the button that a person sees."""
    answer = {"id": call["approval"]["id"], "approved": True}
    await tab.run("answer => window.chat.allow(answer)", answer)


async def answer(tab: Tab, call: dict[str, Any], output: object) -> None:
    """Answer a call of the client's tool."""
    given = {"tool": "where", "toolCallId": call["toolCallId"], "output": output}
    await tab.run("given => window.chat.answer(given)", given)


async def all_show_the_whole(tabs: list[Tab], session: Session) -> None:
    """Each tab, and the server, have the one answer of five steps with all its results."""
    for tab in tabs:
        await tab.until("chat.messages.length === 2 && text.includes('`where` answered')")
    shown = [await tab.settles(messages=2) for tab in tabs]
    kept = (await session.snapshot())["messages"]
    for look in shown:
        assert look["messages"] == kept
        assert "error" not in look
    assert outputs(kept[-1]) == RESULTS
    assert [part["type"] for part in kept[-1]["parts"]].count("step-start") == 5
    assert "`where` answered" in text_of(kept[-1])
    for tab in tabs:
        assert await tab.complaints() == []


async def test_five_steps_are_asked_here_and_answered_there(
    own_deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """Two tabs and a phone on two gateways: asked in the first, allowed in the second, reloaded in
    between, answered in the first; the same result in all.
    """
    here, there = own_deployment.add_gateways(2, settings_with_tools())
    session = own_deployment.session()
    first = await laptop.open(here.at.url, session.id, answers=True)
    second = await laptop.open(here.at.url, session.id, answers=True)
    third = await phone.open(there.at.url, session.id, answers=True)
    tabs = [first, second, third]
    await first.send(FIVE_STEPS)
    for tab in tabs:
        await waits(tab, "approval-requested")

    await first.reload()
    call = await waits(first, "approval-requested")
    await allow(second, call)
    for tab in tabs:
        await waits(tab, "input-available")
    await second.reload()
    assert (await waits(second, "input-available"))["type"] == "tool-where"

    await answer(first, await waits(first, "input-available"), {"city": "Bonn"})
    await all_show_the_whole(tabs, session)


async def test_question_outlives_its_gateway_in_the_browser(
    own_deployment: Deployment, laptop: Profile, phone: Profile
) -> None:
    """Its gateway is killed (-9) while it waits for the approval.

    The tabs find another gateway, a person allows there, and the answer comes to its end in both.
    """
    dying, heir = own_deployment.add_gateways(2, settings_with_tools())
    session = Session(heir.at, new_chat_id())
    async with faulty_proxy(dying.at.port) as proxy:
        tabs = [
            await profile.open(Endpoint(proxy.port).url, session.id, answers=True)
            for profile in (laptop, phone)
        ]
        await tabs[0].send(FIVE_STEPS)
        for tab in tabs:
            await waits(tab, "approval-requested")

        proxy.move_to(heir.at.port)
        dying.process.kill()
        await tabs[0].reload()
        await allow(tabs[1], await waits(tabs[1], "approval-requested"))
        for tab in tabs:
            call = await waits(tab, "input-available")
        await answer(tabs[0], call, {"city": "Bonn"})
        await all_show_the_whole(tabs, session)
