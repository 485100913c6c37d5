"""The demo's earlier versions of a question and an answer, in two tabs.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import DESKTOP, FITS, PHONE, SMALL_TARGETS, Demo, visit
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

PICTURES: Final = Path(__file__).with_name("screenshots")
VERSIONS: Final = (
    "() => [...document.querySelectorAll('[role=group][aria-label=Versions]')]"
    ".map(each => each.querySelector('[aria-hidden=true].tabular-nums').innerText)"
)
BEFORE: Final = '[aria-label="Show the version before"]'
FOCUSED: Final = "() => document.activeElement.getAttribute('aria-label')"


@pytest.fixture
def gateway(own_deployment: Deployment) -> GatewayProcess:
    """A gateway that serves the demo."""
    PICTURES.mkdir(exist_ok=True)
    return own_deployment.add_gateway(arguments=["--demo"])


async def offers(page: Demo, *versions: str) -> None:
    """Wait until the page offers these versions, from the first message on."""
    await page.tab.command(
        "wait",
        source=f"wanted => JSON.stringify(({VERSIONS})()) === JSON.stringify(wanted)",
        argument=list(versions),
        describe=VERSIONS,
    )


async def edit(page: Demo, text: str) -> None:
    """Edit the question, and wait for its answer."""
    before = await page.session()
    await page.press("Edit the message")
    await page.tab.run("() => document.querySelector('textarea[rows=\"3\"]').select()")
    await page.tab.command("type", text=text)
    await page.press("Send again")
    await page.session_after(before)
    await page.finishes()


async def two_versions_of_both(page: Demo) -> None:
    """Have a question answered, then edited, and the edit's answer written again."""
    await page.choose("responses/sim-instant")
    await page.ask("One? [[tokens=20]]")
    await page.shows("Finished in")
    await edit(page, "Two? [[tokens=20]]")
    asked = await page.session()
    await page.press("Write it again")
    await page.session_after(asked)
    await page.finishes()
    await offers(page, "2/2", "2/2")


async def test_version_that_one_tab_shows_is_shown_in_the_other(
    gateway: GatewayProcess, laptop: Profile, phone: Profile
) -> None:
    """By the keyboard, whose place stays; the next question is answered on what is shown."""
    page = await visit(laptop, gateway)
    await two_versions_of_both(page)
    other = await page.also_open_in(phone)
    await offers(other, "2/2", "2/2")
    newest = (await page.session())["messages"]

    await page.tab.run(f"() => document.querySelector('{BEFORE}').focus()")
    await page.tab.command("press", key="Enter")
    for each in (page, other):
        await offers(each, "1/2")
        await each.shows("One?")
    assert await page.tab.run(FOCUSED) == "Show the version before"
    await page.tab.command("press", key="Enter")
    await offers(page, "1/2")

    await other.press("Show the version after")
    for each in (page, other):
        await offers(each, "2/2", "2/2")
    assert (await page.session())["messages"] == newest
    await other.tab.reload()
    await offers(other, "2/2", "2/2")

    await page.press("Show the version before")
    await offers(other, "1/2")
    before = await other.session()
    await other.choose("responses/sim-instant")
    await other.ask("Three? [[echo]]")
    await other.session_after(before)
    await other.finishes()
    read = text_of((await other.session())["messages"][-1])
    assert "One?" in read
    assert "Two?" not in read
    for each in (page, other):
        await each.shows("Three?")
        await offers(each, "1/2")
        assert await each.tab.complaints() == []


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "phone"]
)
async def test_arrows_of_versions_are_sound(
    gateway: GatewayProcess, laptop: Profile, size: tuple[int, int], dark: bool
) -> None:
    """By axe's rules; nothing wider than the page, nor too small for a finger."""
    page = await visit(laptop, gateway, size, dark=dark)
    await two_versions_of_both(page)
    await page.photograph(PICTURES / f"versions-{'phone' if dark else 'desktop'}.png")
    assert await page.tab.violations() == []
    assert await page.tab.run(FITS)
    assert await page.tab.run(SMALL_TARGETS) == []
