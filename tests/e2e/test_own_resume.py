"""Pages that resume a run that they read already, or one that is not there yet, in a browser."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.answers import settings_with_tools
from tests.support.fixtures import start_deployment
from tests.support.processes import eventually
from tests.support.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

ASKED: Final = "() => performance.getEntriesByType('resource')"
"""Requests of the page that were answered."""


@pytest.fixture(scope="module")
def tools(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway whose agents have tools."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateway(settings_with_tools())
        yield made


@pytest.mark.parametrize("ai", [5, 6, 7])
async def test_page_that_resumes_its_own_send_shows_the_answer_once(
    ai: int, tools: Deployment, laptop: Profile, simulator: Simulator
) -> None:
    """As vercel/chatbot does for a new chat; here while a tool's input streams."""
    session = Session(tools.gateways[0].at)
    held = simulator.held(after=9)
    page = await laptop.open(session.at.url, session.id, ai=ai, transport="chatbot")
    call = '[[tool=add {"one": 1234567, "two": 7654321}]]'
    await page.send(f"[[reasoning=8 rate=0 tokens=40]] {held.directive} {call}")
    await page.until("last?.parts?.some(part => part.type === 'tool-add')")
    await page.run("() => void window.chat.load()")
    await page.finds(f"{ASKED}.some(each => each.name.endsWith('/stream'))")
    await held.release()
    await eventually(session.is_ended, "the run ends")
    await page.settles(messages=2)

    shown = (await page.look())["messages"][-1]["parts"]
    kept = (await session.snapshot())["messages"][-1]["parts"]
    for kind in ("reasoning", "tool-add", "text"):
        texts = [[p.get("text") for p in parts if p["type"] == kind] for parts in (shown, kept)]
        assert texts[0] == texts[1], kind


async def test_tabs_of_a_new_chat_meet_no_error_in_the_console(
    tools: Deployment, laptop: Profile
) -> None:
    """A browser logs each 404, so a chat without messages is empty instead."""
    session = Session(tools.gateways[0].at)
    tabs = [await laptop.open(session.at.url, session.id) for _ in range(2)]
    answers: list[tuple[int, str]] = []
    for tab in tabs:
        await tab.until("chat.session.loaded && chat.session.connection === 'live'")
        answers += await tab.run(f"{ASKED}.map(each => [each.responseStatus, each.name])")
    of_gateway = [status for status, name in answers if name.startswith(session.at.url)]
    assert of_gateway, answers
    assert max(of_gateway) < 400, answers
