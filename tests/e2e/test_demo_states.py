"""States of the demo that only last a while: photographed, on a desktop and on a phone.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import DESKTOP, FITS, PHONE, SIMULATED, Demo, visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings

pytestmark = pytest.mark.anyio

PICTURES: Final = Path(__file__).with_name("screenshots")
LIMITED: Final[Settings] = {
    "limits": {"sends_per_minute": 1, "send_burst": 3, "redis_wait_ms": 5_000}
}
TABLE: Final = "() => document.querySelectorAll('article table tr').length >= 3"


class Visit:
    """A visitor's tab, and where its pictures go."""

    def __init__(self, page: Demo, name: str) -> None:
        self.page = page
        self._name = name

    async def is_sound(self, state: str) -> None:
        """Look at a state: nothing is wider than the page, nor out of somebody's reach."""
        await self.page.photograph(PICTURES / f"{self._name}-{state}.png")
        assert await self.page.tab.run(FITS), state
        assert await self.page.tab.violations() == [], state


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
async def there(
    request: pytest.FixtureRequest, own_deployment: Deployment, laptop: Profile
) -> AsyncIterator[Visit]:
    """A visitor of a gateway that takes three sends, and then one a minute."""
    PICTURES.mkdir(exist_ok=True)
    gateway = own_deployment.add_gateway(SIMULATED | LIMITED, arguments=["--demo"])
    name = "desktop" if request.param == DESKTOP else "phone"
    page = await visit(laptop, gateway, request.param)
    yield Visit(page, name)
    assert await page.tab.complaints() == []


async def test_states_of_a_busy_visit_are_sound(there: Visit) -> None:
    """A provider that refuses once, then a table, half and whole; then the limit is reached."""
    page = there.page
    # Followers of the session get passing states: the page follows once it has an answer.
    await page.ask("Hello [[tokens=5]]")
    await page.finishes()
    await page.ask("Answer when you can. [[http=429 times=1 retry=10s tokens=60]]")
    await page.shows("The provider is busy (429)")
    await there.is_sound("busy")
    await page.finishes()
    await page.shows("Finished in")
    await there.is_sound("after-busy")

    await page.ask("How does a client resume a stream? Show me code, a list and a table.")
    await page.tab.finds(TABLE)
    await there.is_sound("table-half")
    await page.finishes()
    await there.is_sound("table")

    await page.ask("One more? [[tokens=5]]")
    await page.shows("Not sent")
    await there.is_sound("limit")


async def test_states_of_a_slow_network_and_of_the_wire_are_sound(there: Visit) -> None:
    """While an answer is written."""
    page = there.page
    await page.press("Slow network")
    await page.ask("How do rivers move? [[tokens=3000 rate=60]]")
    await page.reads(100)
    await there.is_sound("slow")
    await page.press("The wire")
    await page.tab.finds(
        "() => document.querySelectorAll('[aria-label=\"The wire\"] button.font-mono').length > 5"
    )
    await there.is_sound("wire")
