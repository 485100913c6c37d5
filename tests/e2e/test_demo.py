"""The demo, as its visitors see it: accessible, and photographed for a person to look at.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import DESKTOP, PHONE, SMALL_TARGETS, visit

if TYPE_CHECKING:
    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.anyio

PICTURES: Final = Path(__file__).with_name("screenshots")
QUESTION: Final = "What keeps a stream of tokens in order? [[sources=3 reasoning=20]]"


@pytest.fixture
def demo(own_deployment: Deployment) -> GatewayProcess:
    """A gateway that serves the demo."""
    return own_deployment.add_gateway(arguments=["--demo"])


@pytest.fixture
def pictures() -> Path:
    """The folder of the pictures."""
    PICTURES.mkdir(exist_ok=True)
    return PICTURES


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_demo_has_no_serious_violation(
    demo: GatewayProcess, laptop: Profile, pictures: Path, size: tuple[int, int], dark: bool
) -> None:
    """Empty and with an answer, by axe's rules."""
    name = f"{'desktop' if size == DESKTOP else 'phone'}-{'dark' if dark else 'light'}"
    page = await visit(laptop, demo, size, dark=dark)
    tab = page.tab
    empty = await tab.violations()
    await tab.screenshot(pictures / f"{name}-empty.png")

    await page.ask(QUESTION)
    await page.finishes()
    answered = await tab.violations()
    await tab.screenshot(pictures / f"{name}.png")

    assert empty == []
    assert answered == []
    assert await tab.complaints() == []


PANES: Final = {
    "The wire": (
        "() => document.querySelectorAll('[aria-label=\"The wire\"] button.font-mono').length > 5"
    ),
    "Second tab": (
        "() => document.querySelector('iframe')?.contentDocument"
        "?.querySelector('article[aria-label=Answer]')"
    ),
}
"""By the button that opens it: whether it shows something."""


@pytest.mark.parametrize("button", PANES)
async def test_demo_opens_a_pane_beside_the_chat(
    demo: GatewayProcess, laptop: Profile, pictures: Path, button: str
) -> None:
    """The wire, or a second tab, with the content of the chat; as accessible as the rest."""
    page = await visit(laptop, demo)
    tab = page.tab
    await page.ask(QUESTION)
    await page.finishes()

    await tab.command("click", button=button)
    await tab.finds(PANES[button])
    await tab.screenshot(pictures / f"{button.lower().replace(' ', '-')}.png")

    assert await tab.violations() == []


async def fetch(demo: GatewayProcess, path: str) -> bytes:
    async with demo.at.request("GET", path) as response:
        assert response.status == 200
        return await response.body()


MAX_MAIN_BYTES: Final = 200_000
"""Of scripts that the first screen waits for, over the wire: a second on a slow phone."""


async def test_demo_fetches_little_before_it_shows_something(demo: GatewayProcess) -> None:
    """Layout of Markdown, colours, the QR code and the wire come when they are needed."""
    page = await fetch(demo, "/")
    scripts = set(re.findall(r'(?:src|href)="(/assets/[^"]+\.js)"', page.decode()))
    sizes = [len(gzip.compress(await fetch(demo, script), 9)) for script in scripts]

    assert scripts
    assert sum(sizes) <= MAX_MAIN_BYTES


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_visitor_sees_or_is_shown_the_way_to_all_prompts(
    demo: GatewayProcess, laptop: Profile, size: tuple[int, int]
) -> None:
    """All of them at once, or a button to the others; each button is large enough for a finger,
    and the longest word stays within the page."""
    tab = (page := await visit(laptop, demo, size)).tab
    await page.shows("A busy provider")
    below = await tab.run(
        "() => [...document.querySelectorAll('[aria-label=\"Prompts to try\"] button')].filter("
        "each => each.getBoundingClientRect().bottom >"
        " document.querySelector('#message').form.getBoundingClientRect().top).length"
    )
    sign = await tab.run("() => document.body.innerText.includes('More to try')")
    empty = await tab.run(SMALL_TARGETS)
    await page.ask(f"{'Donaudampfschifffahrt' * 20} [[sources=3 reasoning=20]]")
    await page.finishes()

    assert (below == 0, sign) == ((True, False) if size == DESKTOP else (False, True))
    assert empty == await tab.run(SMALL_TARGETS) == []
    assert await tab.run(
        "() => [...document.querySelectorAll('article')].every(each =>"
        " each.scrollWidth <= each.clientWidth)"
    )
