"""assistant-ui in a real browser: as our documentation shows it, and as its own does."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.answers import settings_with_tools
from tests.support.fixtures import start_deployment
from tests.support.frontends import serving
from tests.support.processes import eventually
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment
    from tests.support.frontends import Projects
    from tests.support.simulator import Simulator

# The first test waits until all projects are built.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

SAID: Final = "[...document.querySelectorAll('.said')].map(each => each.textContent)"
LAST: Final = "[...document.querySelectorAll('.assistant .said')].at(-1)?.textContent ?? ''"


@pytest.fixture(scope="module")
def tools(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway whose agents have tools."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateway(settings_with_tools())
        yield made


@pytest.fixture(scope="module")
async def pages(projects: Projects, tools: Deployment) -> AsyncIterator[str]:
    """The address of both pages."""
    async with serving(projects, "assistant-ui", tools.gateways[0].at.url) as url:
        yield url


class Screen:
    """A tab with assistant-ui in it, and the session that it shows."""

    def __init__(self, tab: Tab, session: Session) -> None:
        self.tab = tab
        self.session = session

    async def say(self, text: str, *, into: str = "Message") -> None:
        """Write, and send it with the keyboard."""
        await self.tab.finds(f"() => document.querySelector('[aria-label={into}]')")
        await self.tab.run(f"() => document.querySelector('[aria-label={into}]').focus()")
        if into == "Edited":
            await self.tab.command("press", key="ControlOrMeta+a")
        await self.tab.command("type", text=text)
        await self.tab.command("press", key="Enter")

    async def asks(self, text: str) -> None:
        """Send, and wait for the answer."""
        async with self.answered():
            await self.say(text)

    @asynccontextmanager
    async def answered(self) -> AsyncIterator[None]:
        """Wait at the end of the block until what it has asked for is answered, and is shown."""
        runs = len((await self.session.snapshot())["runs"]) if await self._exists() else 0
        before = (await self.session.snapshot())["runs"][-1]["id"] if runs else ""
        yield

        async def is_answered() -> bool:
            if not await self._exists():
                return False
            run = (await self.session.snapshot())["runs"][-1]
            return bool(run["id"] != before and run["state"] == "ended")

        await eventually(is_answered, "the answer ends")
        await self.settles()
        await self.shows_what_is_kept()

    async def press(self, button: str, *, of: str = "body") -> None:
        """Press the last button of this name."""
        await self.tab.command(
            "wait",
            source="([name, of]) => { const found = [...document.querySelectorAll(`${of} button`)]"
            ".filter(each => each.textContent === name && !each.disabled).at(-1);"
            " found?.click(); return found; }",
            argument=[button, of],
            describe="() => document.body.innerText",
        )

    async def reads(self, length: int = 1) -> None:
        """Wait for so much of an answer."""
        await self.tab.finds(f"() => ({LAST}).length >= {length}")

    async def settles(self) -> None:
        """Wait until assistant-ui has nothing under way."""
        await self.tab.finds(
            "() => [...document.querySelectorAll('button')]"
            ".find(each => each.textContent === 'Stop')?.disabled"
        )

    async def shows_what_is_kept(self) -> None:
        """Wait until the page shows the session's texts, and no others."""
        kept = [text_of(message) for message in (await self.session.snapshot())["messages"]]
        await self.tab.command(
            "wait",
            source=f"kept => JSON.stringify({SAID}.map(t => t.trim()))"
            " === JSON.stringify(kept.map(t => t.trim()))",
            argument=kept,
            describe=f"() => {SAID}",
        )

    async def _exists(self) -> bool:
        return (await self.session.at.call("GET", f"/api/chat/{self.session.id}"))[0] == 200


async def screen(profile: Profile, url: str, kind: str, session: Session) -> Screen:
    """Open one of the two pages."""
    tab = await profile.visit(f"{url}/{kind}/{session.id}", width=800, height=600)
    await tab.finds("() => document.querySelector('[aria-label=Message]')")
    return Screen(tab, session)


@pytest.fixture
def session(tools: Deployment) -> Session:
    """A new one."""
    return Session(tools.gateways[0].at, new_chat_id())


async def test_edits_and_reloads_are_branches_and_the_model_reads_what_is_shown(
    pages: str, laptop: Profile, session: Session
) -> None:
    """Again and Edit make versions; a send from an older one is answered on that version's path."""
    page = await screen(laptop, pages, "recipe", session)
    await page.asks("one [[tokens=4]]")
    await page.press("Again")
    await page.tab.finds(
        "() => document.querySelector('.assistant .branch')?.textContent === '2 of 2'"
    )
    await page.settles()
    await page.asks("two [[tokens=4]]")
    await page.press("Edit")
    await page.say("two, edited [[tokens=5]]", into="Edited")
    await page.tab.finds("() => document.querySelector('.user .branch')?.textContent === '2 of 2'")
    await page.settles()
    await page.shows_what_is_kept()

    await page.tab.finds("() => document.querySelector('.user .branch')?.textContent === '2 of 2'")
    await page.press("Previous", of=".user")
    await page.tab.finds(
        "() => [...document.querySelectorAll('.user .said')].at(-1).textContent"
        " === 'two [[tokens=4]]'"
    )
    await page.say("three [[echo]]")
    await page.tab.finds(f"() => ({LAST}).includes('two [[tokens=4]]')")
    await page.settles()
    read = text_of((await session.snapshot())["messages"][-1])
    assert "edited" not in read
    assert await page.tab.complaints() == []


@pytest.mark.parametrize("kind", ["recipe", "runtime"])
async def test_page_that_is_loaded_again_agrees_with_the_model_after_changes_elsewhere(
    kind: str, pages: str, laptop: Profile, phone: Profile, session: Session, simulator: Simulator
) -> None:
    """After Edit, Again and a selection in another tab: what it shows is what is read next."""
    elsewhere = await screen(laptop, pages, "recipe", session)
    page = await screen(phone, pages, kind, session)

    async def agrees(question: str, *of_these: str) -> None:
        await page.tab.command("reload")
        await page.shows_what_is_kept()
        shown = [text.strip() for text in await page.tab.run(f"() => {SAID}")]
        assert [text for text in shown if text.startswith("Q")] == list(of_these)
        await page.asks(question)
        read = [text.strip() for text in await simulator.read(question)]
        assert read == [*shown, question]
        await elsewhere.shows_what_is_kept()

    one, two, edited, three, four, five = (
        f"Q {name} [[tokens=4]] {session.id}" for name in ("1", "2", "2b", "3", "4", "5")
    )
    await elsewhere.asks(one)
    await elsewhere.asks(two)
    async with elsewhere.answered():
        await elsewhere.press("Edit")
        await elsewhere.say(edited, into="Edited")
    await agrees(three, one, edited)

    before = (await session.snapshot())["messages"][-1]["id"]
    async with elsewhere.answered():
        await elsewhere.press("Again")
    await agrees(four, one, edited, three)

    path = f"/api/chat/{session.id}/select"
    status, chosen = await session.at.call("POST", path, {"messageId": before})
    assert (status, chosen["head"]) == (200, before)
    await elsewhere.shows_what_is_kept()
    await agrees(five, one, edited, three)
    assert await page.tab.complaints() == await elsewhere.tab.complaints() == []


async def test_two_tabs_reload_mid_stream_and_stop_from_either(
    pages: str, laptop: Profile, phone: Profile, session: Session, simulator: Simulator
) -> None:
    """One tab's send shows in the other, a reload resumes, and Stop in one ends it in both."""
    held = simulator.held()
    here = await screen(laptop, pages, "recipe", session)
    there = await screen(phone, pages, "recipe", session)
    await here.asks("one [[tokens=4]]")
    await there.shows_what_is_kept()
    await here.say(held.question)
    await there.reads(20)
    await there.tab.reload()
    await there.reads(20)
    await there.press("Stop")
    await here.settles()
    await there.settles()
    assert (await session.snapshot())["runs"][-1]["outcome"] == "stopped"
    await here.shows_what_is_kept()
    await there.shows_what_is_kept()
    assert [await each.tab.complaints() for each in (here, there)] == [[], []]


async def test_approvals_and_attachments_reach_the_agent(
    pages: str, laptop: Profile, session: Session
) -> None:
    """A call is allowed on the page and then executed; a file is read by the model."""
    page = await screen(laptop, pages, "recipe", session)
    await page.say('Pay. [[tool=transfer {"amount": 50}]]')
    await page.tab.finds("() => /transfer: no result/.test(document.body.innerText)")
    await page.press("Allow")
    await page.tab.finds('() => /transfer: {"sent":50}/.test(document.body.innerText)')
    await page.settles()

    await page.tab.command("attach", button="Attach", file="a.txt", type="text/plain", text="tide")
    await page.tab.finds("() => document.querySelector('.attachment')")
    await page.say("Read it. [[tokens=4]]")
    await page.tab.finds("() => document.querySelectorAll('.assistant').length === 2")
    await page.settles()
    asked = (await session.snapshot())["messages"][-2]
    (file,) = [part for part in asked["parts"] if part["type"] == "file"]
    assert file["url"].startswith("data:text/plain;base64,")
    assert await page.tab.complaints() == []


async def test_chat_runtime_of_assistant_ui_goes_on_when_the_page_is_left(
    pages: str, laptop: Profile, session: Session, simulator: Simulator
) -> None:
    """Leaving is no stop: a reload, or a return, resumes in the same session; Stop stops."""
    held = simulator.held()
    page = await screen(laptop, pages, "runtime", session)
    await page.say(held.question)
    await page.reads(20)
    await page.press("Leave")
    await page.tab.finds("() => !document.querySelector('.said')")
    await page.press("Return")
    await page.reads(20)
    await page.tab.reload()
    await page.reads(20)
    assert (await session.snapshot())["runs"][-1]["state"] == "open"
    await held.release()
    await eventually(session.is_ended, "the answer ends")
    await page.settles()
    await page.shows_what_is_kept()
    assert (await session.snapshot())["runs"][-1]["outcome"] == "finished"

    again = simulator.held()
    await page.say(again.question)
    await page.tab.finds("() => document.querySelectorAll('.assistant').length === 2")
    await page.reads(20)
    await page.press("Stop")
    await eventually(session.is_ended, "the answer is stopped")
    assert (await session.snapshot())["runs"][-1]["outcome"] == "stopped"
    assert await page.tab.complaints() == []
