"""The demo, as its visitors see it: accessible, and photographed for a person to look at.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import DESKTOP, PHONE, visit

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
    """The wire, or a second tab, with what the chat shows; as accessible as the rest."""
    page = await visit(laptop, demo)
    tab = page.tab
    await page.ask(QUESTION)
    await page.finishes()

    await tab.command("click", button=button)
    await tab.finds(PANES[button])
    await tab.screenshot(pictures / f"{button.lower().replace(' ', '-')}.png")

    assert await tab.violations() == []
