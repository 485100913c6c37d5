"""The demo's queue, as a visitor sees and uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.demo import Demo
    from tests.support.simulator import HeldAnswer

QUEUED: Final = (
    "() => [...document.querySelectorAll('[aria-label=\"Queued messages\"] li')].map(row =>"
    " row.querySelector('span.flex-1')?.innerText ?? row.querySelector('textarea').value)"
)
TYPED: Final = "() => document.querySelector('#message').value"


async def begins(page: Demo, held: HeldAnswer) -> None:
    """Ask for an answer that is being written until it is released."""
    # The default agent's simulator is the gateway's own: the test cannot release its hold.
    await page.choose("responses/sim-instant")
    await page.ask(held.question)
    await page.reads()


async def waits(page: Demo, *texts: str) -> None:
    """Wait until the page shows these queued messages, in this order."""
    await page.tab.command(
        "wait",
        source=f"texts => JSON.stringify(({QUEUED})()) === JSON.stringify(texts)",
        argument=list(texts),
        describe=QUEUED,
    )


async def asked(page: Demo) -> list[str]:
    """Return the questions that the session has."""
    messages = (await page.session())["messages"]
    return [text_of(each) for each in messages if each["role"] == "user"]


async def edit(page: Demo, queued: str, text: str) -> None:
    """Replace a queued message's text, with the keyboard, and leave it unsaved."""
    if await page.tab.run("() => innerWidth < 640"):
        await page.press(f"Show actions: “{queued}”")
    await page.press(f"Edit “{queued}”")
    await page.tab.finds("() => document.activeElement.ariaLabel === 'Queued message'")
    await page.tab.run("() => document.activeElement.select()")
    await page.tab.command("type", text=text)
