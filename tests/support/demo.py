"""Drives the demo's page in a real browser, as a visitor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.processes import eventually
from tests.support.sessions import Session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Profile, Tab
    from tests.support.gateway import GatewayProcess, Settings
    from tests.support.wire import Endpoint

DESKTOP: Final = (1440, 900)
PHONE: Final = (390, 844)

FITS: Final = """() => [...document.querySelectorAll('body, header, main, article, form')]
  .every(each => each.getBoundingClientRect().right <= innerWidth + 0.5)
  && document.documentElement.scrollWidth <= innerWidth"""
"""Whether nothing is wider than the page."""

SMALL_TARGETS: Final = """() => [...document.querySelectorAll('button, a[href], select, summary')]
  .filter(each => each.closest('.sr-only, p, [role=region]') === null)
  .map(each => [each.getBoundingClientRect(), each.getAttribute('aria-label') || each.innerText])
  .filter(([box]) => box.width > 0 && (box.width < 43.5 || box.height < 43.5))
  .map(([box, name]) => `${name}: ${box.width} x ${box.height}`)"""
"""What is too small for a finger: names and sizes."""

SIMULATED: Final[Settings] = {
    "agents.assistant": {
        "provider": "simulator-openai",
        "model": "sim-fast",
        "models": ["sim-instant"],
        "send_sources": True,
    },
    "agents.assistant.provider_options": {"background": True},
}
"""The agent of `make run`, but quicker, and with a shorter lease."""


class Demo:
    """One tab with the demo.

    Args:
        tab: the tab.
        at: the gateway that serves it.
    """

    def __init__(self, tab: Tab, at: Endpoint) -> None:
        self.tab = tab
        self._at = at

    async def ask(self, text: str) -> None:
        """Write a message and send it, with the keyboard."""
        await self.tab.run("() => document.querySelector('#message').focus()")
        await self.tab.command("type", text=text)
        await self.tab.command("press", key="Enter")

    async def press(self, button: str) -> None:
        """Press the button with this name."""
        await self.tab.command("click", button=button)

    async def choose(self, model: str) -> None:
        """Choose `AGENT/MODEL` for the next answers."""
        await self.tab.finds(
            f"() => document.querySelector('[aria-label=Model] option[value=\"{model}\"]')"
        )
        await self.tab.run(
            "model => { const select = document.querySelector('[aria-label=Model]');"
            " select.value = model;"
            " select.dispatchEvent(new Event('change', { bubbles: true })); }",
            model,
        )

    async def pick(self, title: str) -> None:
        """Send one of the prompts of the empty state."""
        await self.shows(title)
        await self.tab.run(
            "title => [...document.querySelectorAll('[aria-label=\"Prompts to try\"] button')]"
            ".find(button => button.innerText.startsWith(title)).click()",
            title,
        )

    async def shows(self, text: str) -> None:
        """Wait until the page has this text."""
        await self.tab.command(
            "wait",
            source="text => document.body.innerText.includes(text)",
            argument=text,
            describe="() => document.body.innerText",
        )

    async def reads(self, length: int = 1) -> None:
        """Wait until an answer is being written, with at least `length` characters of text."""
        await self.tab.command(
            "wait",
            source="length => document.querySelector('[aria-label^=\"Stop the answer\"]') !== null"
            f" && ({ANSWER})().length >= length",
            argument=length,
            describe="() => document.body.innerText",
        )

    async def finishes(self) -> None:
        """Wait until there is an answer, and none is being written."""
        await self.tab.finds(
            "() => document.querySelector('article[aria-label=Answer]') !== null"
            " && document.querySelector('[aria-label^=\"Stop the answer\"]') === null"
        )

    async def answer(self) -> str:
        """Return the text of the newest answer as shown, once it is laid out."""
        await self.tab.finds("() => document.querySelector('[data-plain]') === null")
        return str(await self.tab.run(ANSWER))

    async def count(self, selector: str) -> int:
        """Return how many elements match."""
        return int(await self.tab.run("s => document.querySelectorAll(s).length", selector))

    async def session(self) -> Any:
        """Return the gateway's snapshot of the open session."""
        chat = await self.tab.run("() => location.pathname.split('/').at(-1)")
        return await Session(self._at, chat).snapshot()

    async def session_after(self, earlier: Any) -> Any:
        """Wait until a run that an earlier snapshot lacks has ended; return the new snapshot."""
        known = [run["id"] for run in earlier["runs"]]
        snapshot = earlier

        async def has_another() -> bool:
            nonlocal snapshot
            snapshot = await self.session()
            newest = snapshot["runs"][-1]
            return newest["id"] not in known and newest["state"] == "ended"

        await eventually(has_another, "another run ends")
        return snapshot

    async def also_open_in(self, profile: Profile, size: tuple[int, int] = PHONE) -> Demo:
        """Open the session on another device, a phone by default."""
        url = str(await self.tab.run("() => location.href"))
        tab = await profile.visit(url, width=size[0], height=size[1])
        demo = Demo(tab, self._at)
        await demo.shows("live")
        return demo

    async def photograph(self, path: Path) -> None:
        """Take a picture, for a person to look at."""
        await self.tab.screenshot(path)


ANSWER: Final = (
    "() => [...document.querySelectorAll('article[aria-label=Answer]')].at(-1)"
    "?.querySelector('.prose-answer')?.innerText ?? ''"
)


async def visit(
    profile: Profile,
    gateway: GatewayProcess,
    size: tuple[int, int] = DESKTOP,
    *,
    dark: bool = False,
) -> Demo:
    """Open the demo in a new tab; returns when it is connected."""
    tab = await profile.visit(gateway.at.url, width=size[0], height=size[1], dark=dark)
    demo = Demo(tab, gateway.at)
    await tab.finds("() => document.querySelector('#message') !== null")
    await demo.shows("live")
    return demo
