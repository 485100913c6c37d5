"""A queued message that a visitor gives to the answer that is being written.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import FITS, SMALL_TARGETS, Demo, visit
from tests.support.demo_queue import asked, begins, waits

if TYPE_CHECKING:
    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

PICTURES: Final = Path(__file__).with_name("screenshots")
GIVE: Final = "Give to answer: "
FOCUSED: Final = "() => document.activeElement.ariaLabel"
WHOLE: Final = """() => [...document.querySelectorAll('[aria-label="Queued messages"]')]
  .flatMap(list => [...list.querySelectorAll('button')])
  .every(({ offsetParent, offsetLeft }) => offsetParent === null || offsetLeft >= 0)"""
"""Whether no button of the queue is cut off."""
OURS: Final = "Your message to this answer"
FIRST_ANSWER: Final = f"""() => [...document.querySelector('article[aria-label=Answer]')
  .querySelectorAll('.prose-answer, section')]
  .map(each => each.ariaLabel === '{OURS}' ? each.querySelector('p').innerText : 'text')"""


@pytest.fixture
def gateway(own_deployment: Deployment) -> GatewayProcess:
    """A gateway that serves the demo."""
    PICTURES.mkdir(exist_ok=True)
    return own_deployment.add_gateway(arguments=["--demo"])


async def says(page: Demo, text: str) -> None:
    """Wait until a screen reader is told this."""
    await page.tab.command(
        "wait",
        source="text => [...document.querySelectorAll('[role=status]')]"
        ".some(each => each.innerText.includes(text))",
        argument=text,
        describe="() => document.body.innerText",
    )


async def is_sound(page: Demo, name: str) -> None:
    """By axe's rules; nothing wider than the page, nor too small for a finger."""
    await page.photograph(PICTURES / f"steering-{name}.png")
    assert await page.tab.violations() == [], name
    assert await page.tab.run(FITS), name
    assert await page.tab.run(WHOLE), name
    assert await page.tab.run(SMALL_TARGETS) == [], name


async def test_queued_message_is_given_to_the_answer_and_shows_where_it_was_read(
    gateway: GatewayProcess, laptop: Profile, phone: Profile, simulator: Simulator
) -> None:
    """By keyboard, in every tab, also after a reload; the other message waits for its turn."""
    held = simulator.held()
    demo = await visit(laptop, gateway)
    await begins(demo, held)
    pocket = await demo.also_open_in(phone)
    pages = {"desktop": demo, "phone": pocket}
    await demo.ask("Lakes, too, please. [[tokens=20]]")
    await demo.ask("And seas? [[tokens=20]]")
    await pocket.press("Show actions: “And seas?”")
    for name, page in pages.items():
        await waits(page, "Lakes, too, please.", "And seas?")
        await is_sound(page, f"{name}-queued")

    button = f"{GIVE}“Lakes, too, please.”"
    await demo.tab.run("name => document.querySelector(`[aria-label='${name}']`).focus()", button)
    await demo.tab.command("press", key="Enter")
    for name, page in pages.items():
        await page.shows("Read before the next step")
        await waits(page, "And seas?")
        await is_sound(page, f"{name}-given")
    assert await demo.tab.run(FOCUSED) == "Queued messages"
    await demo.tab.command("reload")
    await demo.shows("Read before the next step")

    await held.release()
    for name, page in pages.items():
        await says(page, "The answer has read “Lakes, too, please.”")
        await page.shows("You asked: And seas?")
        await page.finishes()
        await is_sound(page, f"{name}-read")
    assert await asked(demo) == [held.question, "And seas? [[tokens=20]]"]
    await demo.tab.command("reload")
    for page in pages.values():
        await page.finishes()
        assert await page.tab.run(FIRST_ANSWER) == ["text", "Lakes, too, please.", "text"]
        assert await page.tab.complaints() == []


async def test_message_that_the_answer_cannot_read_comes_back_with_the_reason(
    gateway: GatewayProcess, laptop: Profile, phone: Profile, simulator: Simulator
) -> None:
    """A stop overtakes it. It leads the paused queue, in every tab, and is answered next."""
    demo = await visit(laptop, gateway)
    await begins(demo, simulator.held())
    pocket = await demo.also_open_in(phone)
    pages = {"desktop": demo, "phone": pocket}
    await demo.ask("And seas? [[tokens=20]]")
    await demo.ask("And lakes? [[tokens=20]]")
    await waits(pocket, "And seas?", "And lakes?")
    await pocket.press("Show actions: “And lakes?”")
    await pocket.press(f"{GIVE}“And lakes?”")
    for page in pages.values():
        await page.shows("Read before the next step")
    await demo.press("Stop the answer, in every tab")
    for name, page in pages.items():
        await page.shows("Paused: the answer was stopped")
        await says(page, "“And lakes?” came back: the answer was stopped")
        await page.shows("Came back: the answer was stopped")
        await waits(page, "And lakes?", "And seas?")
        await is_sound(page, f"{name}-back")

    await pocket.press("Resume")
    for page in pages.values():
        await page.shows("You asked: And seas?")
        await page.finishes()
        assert await page.tab.complaints() == []
    assert (await asked(demo))[1:] == ["And lakes? [[tokens=20]]", "And seas? [[tokens=20]]"]
