"""The documentation's pages in a real browser: each message is a paragraph, in one form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.browser import Tab


async def say(tab: Tab, text: str) -> None:
    """Write a message and send it, with the keyboard."""
    await tab.run("() => document.querySelector('input').focus()")
    await tab.command("type", text=text)
    await tab.command("press", key="Enter")


async def reads(tab: Tab, question: str) -> None:
    """Wait for the beginning of the answer to a question."""
    found = (
        "[...document.querySelectorAll('p:not([role])')].some((p, at, all) =>"
        " p.textContent === question && all[at + 1]?.textContent.length > 0)"
    )
    await tab.command("wait", source=f"question => {found}", argument=question)


async def settles(tab: Tab) -> None:
    """Wait until no answer is under way."""
    await tab.finds("() => /live, idle/.test(document.body.innerText)")


async def shows(tab: Tab, messages: list[str]) -> None:
    """Wait until a page shows exactly these messages."""
    texts = "[...document.querySelectorAll('p:not([role])')].map(p => p.textContent)"
    await tab.command(
        "wait",
        source=f"messages => JSON.stringify({texts}) === JSON.stringify(messages)",
        argument=messages,
        describe=f"() => {texts}",
    )
