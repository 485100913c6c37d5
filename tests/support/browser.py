"""Real browsers, each driven by one Node process; and the small chat page of the e2e tests."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from scripts.bootstrap import CHROMIUM_NAMES, OTHER_ENGINES
from tests.support.node import NodeHost, node_binary
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROGRAM: Final = REPOSITORY / "tests" / "e2e" / "browser.mjs"
Engine = Literal["chromium", "firefox", "webkit"]
PROGRAMS: Final[dict[Engine, tuple[str, ...]]] = {
    "chromium": CHROMIUM_NAMES,
    "firefox": OTHER_ENGINES["Firefox"]["firefox-esr"],
    "webkit": OTHER_ENGINES["WebKit"]["webkit2gtk-driver"],
}
"""Engine -> programs, any of which is enough; for WebKit its driver, which brings a browser."""
LOOK: Final = "() => window.chat.look()"
LOOK_LATER: Final = "() => new Promise(done => setTimeout(done, 10)).then(() => window.chat.look())"
"""Looks after the timer, set already, by which the session updates an idle chat."""

Transport = Literal["midstream", "stock", "chatbot"]


class Browser:
    """A headless browser, at first without profiles; `browser.mjs` beside the tests drives it."""

    def __init__(self, host: NodeHost, engine: Engine) -> None:
        self.host = host
        self.engine = engine

    def profile(self) -> Profile:
        """Return a new profile: storage, locks and connections of its own, as on another device."""
        return Profile(self)

    async def profile_without_cookies(self) -> Profile:
        """Return a profile whose person has blocked cookies, and so all storage."""
        profile = self.profile()
        await self.host.command("newProfile", profile=profile.name, cookies=False)
        return profile


class Profile:
    """Tabs that share storage, locks and connections."""

    def __init__(self, browser: Browser) -> None:
        self.name = secrets.token_hex(4)
        self.browser = browser

    async def open(
        self,
        gateway: str,
        chat: str,
        *,
        ai: int = 7,
        transport: Transport = "midstream",
        clock: bool = False,
        answers: bool = False,
        sandboxed: bool = False,
    ) -> Tab:
        """Open the test page in a new tab.

        Args:
            gateway: its address, without a slash at its end.
            chat: the session.
            ai: major version of the AI SDK.
            transport: ours with `useSession`, or the SDK's own with `resume: true`.
            clock: let `sleep` move the tab's time.
            answers: send a message again once all of its calls are answered.
            sandboxed: in a frame that may only run scripts.
        """
        query = {"api": f"{gateway}/api/chat", "chat": chat, "transport": transport}
        query |= {"answers": ""} if answers else {}
        query |= {"sandboxed": ""} if sandboxed else {}
        return await self._open(ai=ai, query=query, clock=clock)

    async def visit(self, url: str, *, width: int, height: int, dark: bool = False) -> Tab:
        """Open any page in a new tab of that size, with reduced motion."""
        viewport = {"width": width, "height": height}
        return await self._open(url=url, viewport=viewport, dark=dark, still=True)

    async def go_to(self, url: str) -> Tab:
        """Open any page in a new tab."""
        return await self._open(url=url)

    async def offline(self, offline: bool) -> None:
        """Take the network away, or give it back; open connections stay open."""
        await self.browser.host.command("offline", profile=self.name, offline=offline)

    async def close(self) -> None:
        """Close all of its tabs, and forget it."""
        await self.browser.host.command("closeProfile", profile=self.name)

    async def _open(self, **arguments: object) -> Tab:
        tab = Tab(self.browser.host, secrets.token_hex(4))
        await self.browser.host.command("open", tab=tab.name, profile=self.name, **arguments)
        return tab


class Tab:
    """One page. Tests wait for its state with `until`, an expression about `chat`."""

    def __init__(self, host: NodeHost, name: str) -> None:
        self.name = name
        self._host = host

    async def command(self, name: str, **arguments: object) -> Any:
        """Run one command of `browser.mjs` for this tab."""
        return await self._host.command(name, tab=self.name, **arguments)

    async def run(self, source: str, argument: object = None) -> Any:
        """Evaluate a JavaScript function with one argument."""
        return await self.command("evaluate", source=source, argument=argument)

    async def look(self) -> Any:
        """Return the present state of the chat and its session; see `look` in the page."""
        return await self.run(LOOK)

    async def until(self, condition: str, argument: object = None) -> None:
        """Wait for a JavaScript expression about `chat` (what `look` returns), `text` (of the
        last message) and `argument`.

        Raises:
            AssertionError: the condition was not true within half a minute; shows the chat.
        """
        source = (
            "argument => { const chat = window.chat?.look(); if (!chat) return false;"
            " const last = chat.messages.at(-1);"
            " const text = last?.role === 'assistant' ? last.parts.filter(p => p.type === 'text')"
            f".map(p => p.text).join('') : ''; return Boolean({condition}); }}"
        )
        await self.command("wait", source=source, argument=argument, describe=LOOK)

    async def reads(self, length: int = 1) -> None:
        """Wait until an answer streams, with at least `length` characters of text.

        Use it with an answer that is held, or far longer than a test: one that ends is missed.
        """
        await self.until("chat.status === 'streaming' && text.length >= argument", length)

    async def settles(self, *, messages: int | None = None) -> Any:
        """Wait until no answer is under way and the session is loaded; then look."""
        condition = "chat.status === 'ready' && (chat.session?.phase ?? 'idle') === 'idle'"
        if messages is not None:
            condition += f" && chat.messages.length === {messages}"
        await self.until(condition)
        return await self.run(LOOK_LATER)

    async def send(self, text: str) -> None:
        """`sendMessage({text})`; returns at once."""
        await self.run("text => window.chat.send({ text })", text)

    async def stop(self) -> None:
        """`stop()` of the chat; returns at once."""
        await self.run("() => window.chat.stop()")

    async def show(self, chat: str | None) -> None:
        """Go to another chat without loading the page again, or to none."""
        await self.run("id => window.show(id)", chat)

    async def reload(self) -> None:
        """Load the page again."""
        await self.command("reload")

    async def go_to(self, url: str) -> None:
        """Load another page."""
        await self.command("goto", url=url)

    async def go_back(self) -> None:
        """Go back to the page before, as the browser kept it or loaded again."""
        await self.command("goBack")

    async def sleep(self, seconds: float) -> None:
        """Let the laptop sleep for `seconds`; its timers fire once."""
        await self.command("sleep", ms=seconds * 1000)

    async def close(self) -> None:
        """Close the tab."""
        await self.command("close")

    async def violations(self) -> list[Any]:
        """Return the serious and critical violations that axe-core finds, with their places."""
        return list(await self.command("violations"))

    async def screenshot(self, path: Path) -> None:
        """Write the visible page to a PNG file."""
        await self.command("screenshot", path=str(path))

    async def finds(self, source: str) -> None:
        """Wait until a JavaScript function returns something true."""
        await self.command("wait", source=source, describe="() => document.body.innerText")

    async def complaints(self) -> list[str]:
        """Return the page's uncaught exceptions."""
        return list(await self.command("complaints"))


def program_of(engine: Engine) -> str | None:
    """Return the path of the distribution's browser, or of its driver; None without one."""
    return next((path for name in PROGRAMS[engine] if (path := shutil.which(name))), None)


@asynccontextmanager
async def running_browser(errors: Path, engine: Engine = "chromium") -> AsyncIterator[Browser]:
    """Run a browser for the length of a block; the driver's stderr goes to a file."""
    program = program_of(engine)
    assert program is not None, f"no {engine}: see scripts/bootstrap.py"
    with errors.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            node_binary(),
            str(PROGRAM),
            engine,
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=2**26,
        )
    host = NodeHost(process)
    answers = asyncio.create_task(host.read_answers(), name="browser answers")
    try:
        yield Browser(host, engine)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await answers
