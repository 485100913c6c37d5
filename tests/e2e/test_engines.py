"""The main scenarios in each engine: Firefox and WebKit, beside Chromium."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.demo import PHONE, visit
from tests.support.processes import REPOSITORY, eventually
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.browser import Browser, Profile, Tab
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.anyio

PACKAGE: Final = REPOSITORY / "demo-ui" / "transport" / "package.json"
VERSIONS: Final = {
    "chromium": ("chrome", r"Chrome/(\d+)"),
    "firefox": ("firefox", r"Firefox/(\d+)"),
    "webkit": ("safari", r"Version/(\d+)"),
}
"""By its engine: a browser's name in `browserslist`, and where it says its version."""

LONG = "How do rivers move? [[tokens=20000 rate=50]]"
SEVEN = 7
"""More than the six connections that a browser keeps to a host."""


async def open_tabs(profile: Profile, at: str, chat: str, count: int) -> list[Tab]:
    """Tabs with one session, which they know, live."""
    tabs = [await profile.open(at, chat) for _ in range(count)]
    for tab in tabs:
        await tab.until("chat.session.loaded")
    await all_live(tabs)
    return tabs


async def all_live(tabs: Sequence[Tab]) -> None:
    for tab in tabs:
        await tab.until("chat.session.connection === 'live'")


async def all_count(tabs: Sequence[Tab], count: int) -> None:
    """Wait until each tab shows one browser with so many tabs."""
    for tab in tabs:
        await tab.until(
            "chat.session.here.length === 1 && chat.session.here[0].tabs === argument", count
        )


async def show_the_same(tabs: Sequence[Tab], session: Session, messages: int) -> list[Any]:
    """Wait until each tab is idle and equal to the session; return the shown messages."""
    shown = [await tab.settles(messages=messages) for tab in tabs]
    kept = (await session.snapshot())["messages"]
    assert [look["messages"] for look in shown] == [kept] * len(tabs)
    return shown


async def has_feeds(gateway: GatewayProcess, count: int) -> None:
    """Wait until a gateway has so many feeds open, and no other stream."""

    async def open_streams() -> bool:
        async with gateway.at.request("GET", "/metrics") as response:
            lines = (await response.body()).decode().splitlines()
        readers = [line for line in lines if line.startswith("midstream_readers{")]
        return sum(float(line.split()[-1]) for line in readers) == count

    await eventually(open_streams, f"{count} streams are open")


async def test_person_reloads_mid_stream_and_gets_the_whole_answer(
    deployment: Deployment, profile: Profile
) -> None:
    """Twice, and once more when it is whole."""
    session, answer = deployment.session(), deployment.simulator.held()
    (tab,) = await open_tabs(profile, session.at.url, session.id, 1)
    await tab.send(answer.question)
    await tab.reads(20)

    for _ in range(2):
        await tab.reload()
        await tab.reads(20)
    await answer.release()
    (shown,) = await show_the_same([tab], session, 2)
    await tab.reload()
    await show_the_same([tab], session, 2)

    assert shown["finishes"][0] | {"messageId": ""} == {
        "messageId": "",
        "isAbort": False,
        "isDisconnect": False,
        "isError": False,
    }
    assert await tab.complaints() == []


async def test_second_tab_streams_what_the_first_asked_and_stops_it(
    deployment: Deployment, profile: Profile
) -> None:
    """The run ends on the server, and both show the kept part."""
    session = deployment.session()
    first, second = await open_tabs(profile, session.at.url, session.id, 2)
    await first.send(LONG)
    await asyncio.gather(first.reads(20), second.reads(20))

    await second.stop()
    shown = await show_the_same([first, second], session, 2)

    assert {look["session"]["run"]["outcome"] for look in shown} == {"stopped"}


async def test_seven_tabs_that_reload_leave_one_feed_and_are_counted_as_seven(
    own_deployment: Deployment, profile: Profile
) -> None:
    """No connection of a page that has gone stays: the eighth could load nothing any more."""
    gateway = own_deployment.add_gateway()
    session = own_deployment.session()
    await session.send("Hello [[tokens=5]]")
    tabs = await open_tabs(profile, session.at.url, session.id, SEVEN)
    await all_count(tabs, SEVEN)

    for tab in tabs:
        await tab.reload()
    await all_live(tabs)
    await all_count(tabs, SEVEN)
    await has_feeds(gateway, 1)

    answer = own_deployment.simulator.held()
    await tabs[-1].send(answer.question)
    await asyncio.gather(*(tab.reads(20) for tab in tabs))
    await answer.release()
    await show_the_same(tabs, session, 4)


async def test_supported_versions_begin_with_none_newer_than_what_is_run(
    deployment: Deployment, engine: Browser, profile: Profile
) -> None:
    """The package supports only versions that were tested."""
    tab = await profile.open(deployment.gateways[0].at.url, new_chat_id())
    name, pattern = VERSIONS[engine.engine]
    found = re.search(pattern, await tab.run("() => navigator.userAgent"))
    assert found is not None
    supported = dict(
        entry.split(" >= ") for entry in json.loads(PACKAGE.read_text())["browserslist"]
    )
    assert int(found[1]) >= int(supported[name])


@pytest.mark.release
async def test_tab_that_holds_the_feed_closes_and_the_others_go_on(
    deployment: Deployment, profile: Profile
) -> None:
    """In the middle of an answer that another one asked for."""
    session, answer = deployment.session(), deployment.simulator.held()
    leader, *others = await open_tabs(profile, session.at.url, session.id, 3)
    await others[0].send(answer.question)
    await asyncio.gather(*(tab.reads(20) for tab in others))

    await leader.close()
    await answer.release()

    await show_the_same(others, session, 2)
    await all_live(others)
    await all_count(others, 2)


@pytest.mark.release
@pytest.mark.timeout(600)  # Firefox gives pages behind others a timer a second.
async def test_ten_tabs_each_send_in_their_turn(
    own_deployment: Deployment, profile: Profile
) -> None:
    """Over the six connections of one browser."""
    gateway = own_deployment.add_gateway()
    session = own_deployment.session()
    tabs = await open_tabs(profile, session.at.url, session.id, 10)
    for turn, tab in enumerate(tabs):
        answer = own_deployment.simulator.held()
        await tab.send(answer.question)
        await asyncio.gather(*(each.reads(20) for each in tabs))
        await answer.release()
        await show_the_same(tabs, session, 2 * turn + 2)
    await all_count(tabs, 10)
    await has_feeds(gateway, 1)


@pytest.mark.release
@pytest.mark.parametrize("beside", [False, True])
async def test_person_who_comes_back_to_the_page_sees_what_came_meanwhile(
    deployment: Deployment, profile: Profile, *, beside: bool
) -> None:
    """By the button Back, alone and beside a tab that has stayed and leads."""
    session = deployment.session()
    tabs = await open_tabs(profile, session.at.url, session.id, 2 if beside else 1)
    away = tabs[-1]
    answer = deployment.simulator.held()
    await away.send(answer.question)
    await asyncio.gather(*(tab.reads(20) for tab in tabs))

    await away.go_to(await away.run("() => `${location.origin}/elsewhere`"))
    await answer.release()
    await eventually(session.is_ended, "the answer ends")
    await session.send("And lakes? [[tokens=5]]")
    await away.go_back()
    await away.finds("() => window.chat !== undefined")

    await show_the_same(tabs, session, 4)
    await all_live(tabs)
    last = deployment.simulator.held()
    await away.send(last.question)
    await asyncio.gather(*(tab.reads(20) for tab in tabs))
    await last.release()
    await show_the_same(tabs, session, 6)
    await all_count(tabs, len(tabs))


@pytest.mark.release
async def test_person_who_blocks_cookies_has_a_chat_that_works(
    deployment: Deployment, engine: Browser
) -> None:
    """No storage, no locks or no channels, as the engine has it: two tabs, each for itself."""
    profile = await engine.profile_without_cookies()
    try:
        await two_tabs_work(deployment, profile, sandboxed=False)
    finally:
        await profile.close()


@pytest.mark.release
async def test_sandboxed_frame_has_a_chat_that_works(
    own_deployment: Deployment, profile: Profile
) -> None:
    """Of no origin: it shares nothing with anybody."""
    own_deployment.add_gateway({"server": {"cors_origins": ["null"]}})
    await two_tabs_work(own_deployment, profile, sandboxed=True)


async def two_tabs_work(deployment: Deployment, profile: Profile, *, sandboxed: bool) -> None:
    """Stream, reload, stop from the other tab."""
    session, answer = deployment.session(), deployment.simulator.held()
    tabs = [await profile.open(session.at.url, session.id, sandboxed=sandboxed) for _ in range(2)]
    await all_live(tabs)
    await tabs[0].send(answer.question)
    await asyncio.gather(*(tab.reads(20) for tab in tabs))
    await tabs[0].reload()
    await asyncio.gather(*(tab.reads(20) for tab in tabs))
    await tabs[1].stop()
    await show_the_same(tabs, session, 2)
    assert [await tab.complaints() for tab in tabs] == [[], []]


@pytest.mark.release
async def test_download_begun_mid_stream_costs_no_token(
    deployment: Deployment, profile: Profile
) -> None:
    """Firefox breaks all fetches off at the click; the page stays, and so does its answer."""
    session, answer = deployment.session(), deployment.simulator.held()
    (tab,) = await open_tabs(profile, session.at.url, session.id, 1)
    await tab.send(answer.question)
    await tab.reads(20)

    await tab.run("() => { location.href = '/download'; }")
    await answer.release()
    (shown,) = await show_the_same([tab], session, 2)

    assert shown["finishes"][0]["isAbort"] is False
    assert shown["session"]["run"]["outcome"] == "finished"
    await all_live([tab])


@pytest.mark.release
async def test_answer_of_ten_thousand_tokens_is_shown_whole(
    deployment: Deployment, profile: Profile
) -> None:
    """In the tab that asked and in one that watches."""
    session = deployment.session()
    tabs = await open_tabs(profile, session.at.url, session.id, 2)
    await tabs[0].send("How do rivers move? [[tokens=10000 rate=2000]]")
    await tabs[0].until("text.length > 20000")
    shown = await show_the_same(tabs, session, 2)
    assert len(text_of(shown[0]["messages"][1])) > 30_000


@pytest.mark.release
async def test_four_stock_tabs_read_one_run(deployment: Deployment, profile: Profile) -> None:
    """Equal requests wait for each other in Firefox's cache, unless told to pass it by."""
    chat, at = new_chat_id(), deployment.gateways[0].at.url
    session, answer = Session(deployment.gateways[0].at, chat), deployment.simulator.held()
    sending = asyncio.create_task(session.send(answer.question))
    await eventually(lambda: has_run(session), "a run is open")

    tabs = [await profile.open(at, chat, transport="stock") for _ in range(4)]
    await asyncio.gather(*(tab.reads(20) for tab in tabs))
    await answer.release()
    await sending
    shown = [await tab.settles() for tab in tabs]

    text = text_of((await session.snapshot())["messages"][-1])
    assert [text_of(look["messages"][-1]) for look in shown] == [text] * 4


async def has_run(session: Session) -> bool:
    """Whether a run is open."""
    status, answer = await session.at.call("GET", f"/api/chat/{session.id}")
    return status == 200 and answer["runs"][-1]["state"] == "open"


GROWN = """() => {
  const { clientHeight, scrollHeight } = document.querySelector('#message');
  const newest = document.querySelector('[aria-label="To the newest"]');
  return clientHeight > 80 && clientHeight >= scrollHeight && newest === null;
}"""
"""Whether the text that is being written is seen whole, and the end of the answer still is."""

LOOKS = """() => {
  const bar = document.querySelector('[aria-label="Break it"] > div');
  return {
    select: getComputedStyle(document.querySelector('[aria-label=Model]')).appearance,
    scrollbar: bar.offsetHeight - bar.clientHeight,
    width: document.documentElement.scrollWidth - innerWidth,
  };
}"""


@pytest.mark.release
async def test_demo_looks_as_it_was_drawn(
    own_deployment: Deployment, engine: Browser, profile: Profile
) -> None:
    """On a phone: the parts that engines draw by themselves are hidden. With a picture."""
    page = await visit(profile, own_deployment.add_gateway(arguments=["--demo"]), PHONE)
    await page.ask("What keeps a stream of tokens in order?")
    await page.finishes()
    looks = await page.tab.run(LOOKS)
    await page.tab.run("() => document.querySelector('#message').focus()")
    await page.tab.command("type", text="a word and another " * 12)
    await page.tab.finds(GROWN)
    pictures = Path(__file__).with_name("screenshots")
    pictures.mkdir(exist_ok=True)
    await page.photograph(pictures / f"{engine.engine}-phone.png")

    assert looks == {"select": "none", "scrollbar": 0, "width": 0}
    assert await page.tab.complaints() == []


@pytest.mark.release
async def test_demo_works_where_cookies_are_blocked(
    own_deployment: Deployment, engine: Browser
) -> None:
    """It keeps no theme and no choice; it answers."""
    profile = await engine.profile_without_cookies()
    page = await visit(profile, own_deployment.add_gateway(arguments=["--demo"]))
    await page.press("Dark theme")
    await page.ask("What keeps a stream of tokens in order?")
    await page.finishes()
    assert await page.tab.complaints() == []
    await profile.close()
