"""Somebody follows the README word by word, from a clone to a second device."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.support import newcomer
from tests.support.demo import Demo
from tests.support.gateway import NEWEST_CLIENT
from tests.support.pages import reads, say, shows
from tests.support.processes import ChildProcess, eventually, free_port
from tests.support.readme import Reader, changed
from tests.support.sessions import Session, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.browser import Profile

pytestmark = pytest.mark.anyio

LEFT_OUT: Final = {
    " AI SDK frontend": "a picture",
    "make test": "this test is part of it",
    "// app/api/chat/route.ts": "it calls Anthropic; test_readme_agents.py has it call a simulator",
    "[agents.assistant]\nprovider": "what there is, with names to be replaced",
}
"""Every piece of the README that is not followed here, by how it begins, and why."""

LONG: Final = "How do rivers move? [[tokens=3000 rate=50]]"

PAGE: Final = """import { createRoot } from 'react-dom/client';
import { Chat } from './Chat';

const id = location.pathname.slice(1);
createRoot(document.getElementById('root')!).render(%s);
"""
"""Shows the session that the address names, by the README's own words."""


class Newcomer:
    """Somebody with a fresh folder, and a terminal in it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.folder = folder
        self.checkout = folder / "midstream"
        self.project = folder / "app"
        self.at = Endpoint(port, NEWEST_CLIENT)
        plain = {"NO_COLOR": "1"}  # what is printed is read
        settings = {"MIDSTREAM_SERVER_PORT": str(port), "GATEWAY": self.at.url, **plain}
        self.variables = newcomer.variables(folder / "environment", **settings)
        self.readme = Reader(LEFT_OUT, self.at.url)

    def types(self, beginning: str) -> str:
        """Type the next command into the terminal; return what it prints."""
        return newcomer.command(self.readme.next(beginning), self.folder, self.variables)

    def writes(self, name: str, beginning: str) -> Path:
        """Write the next block into a file, or at its end."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as opened:
            opened.write(self.readme.next(beginning) + "\n")
        return file

    @contextmanager
    def running(self, line: str, where: Path, printed: str) -> Iterator[None]:
        """Leave a command running in a terminal for the length of a block, once it has printed."""
        shell = ["sh", "-ec", f"exec {line}"]
        log = self.folder / "terminal.log"
        log.unlink(missing_ok=True)
        process = ChildProcess(line, shell, log, self.variables, where)
        try:
            process.wait_ready(lambda: f"{printed}\n" in process.output())
            yield
        finally:
            process.end()

    def gateway(self, line: str, where: Path) -> AbstractContextManager[None]:
        """Leave a gateway running."""
        return self.running(line, where, f"Midstream serves on {self.at.url}")

    @contextmanager
    def page(self) -> Iterator[str]:
        """Build the project, and leave it served; yields its address."""
        newcomer.npm("vite build --logLevel error", self.project)
        port = free_port()
        url = f"http://localhost:{port}"
        line = f"node_modules/.bin/vite preview --strictPort --port {port}"
        with self.running(line, self.project, f"  ➜  Local:   {url}/"):
            yield url


async def test_newcomer_follows_the_readme_from_a_clone_to_a_second_device(
    tmp_path: Path, laptop: Profile, phone: Profile
) -> None:
    """Every command and block, in its order, does as promised."""
    them = Newcomer(tmp_path)
    await asyncio.to_thread(newcomer.clone, them.checkout)
    await asyncio.to_thread(newcomer.make_as_if_installed, them.checkout)
    await asyncio.to_thread(newcomer.environment, tmp_path / "environment")

    run = them.readme.next("make run")
    with them.gateway(run, them.checkout):
        await sees_the_demo(laptop, them)

    await asyncio.to_thread(them.types, "pip install './midstream[server,embedded]'")
    serve = them.readme.next("midstream serve --demo")
    with them.gateway(serve, them.folder):
        await uses_it_from_a_frontend(them, laptop, phone)

    await brings_agents(them, serve)

    with them.gateway(run, them.checkout):
        await asyncio.to_thread(runs_the_programs, them)
    them.readme.finish()


@pytest.mark.parametrize("grown", ["```sh\nmake more\n```\n", "```python\nmore()\n```\n"])
def test_reader_is_held_up_by_what_is_neither_followed_nor_left_out(grown: str) -> None:
    """A new part of the README needs an entry: its test, or the reason why there is none."""
    reader = Reader({"make test": "not now"}, "", f"```sh\nmake run\nmake test\n```\n{grown}")
    reader.next("make run")

    with pytest.raises(AssertionError, match="neither followed nor left out: m"):
        reader.finish()


def test_reader_misses_what_is_left_out_and_no_longer_there() -> None:
    """The list of left out parts stays true."""
    with pytest.raises(AssertionError, match="left out, and not there"):
        Reader({"make more": "not now"}, "", "").finish()


async def sees_the_demo(profile: Profile, them: Newcomer) -> None:
    """Open the address that was printed, ask, and read the answer."""
    tab = await profile.visit(them.at.url, width=1440, height=900)
    demo = Demo(tab, them.at)
    await demo.shows("live")
    await demo.ask("How do rivers move?")
    await demo.finishes()
    assert len(await demo.answer()) > 0
    assert await tab.complaints() == []
    await tab.close()


async def uses_it_from_a_frontend(them: Newcomer, laptop: Profile, phone: Profile) -> None:
    """The page with the AI SDK's transport; with the package; on a second device."""
    await asyncio.to_thread(newcomer.react_project, them.project)
    chat = them.writes("app/src/Chat.tsx", "import { useChat }")
    (shown,) = re.findall(r"`(<Chat .*?/>)` shows a session", them.readme.text)
    (them.project / "src" / "main.tsx").write_text(PAGE % shown)
    session = Session(them.at)
    with them.page() as url:
        tab = await laptop.visit(f"{url}/{session.id}", width=800, height=600)
        await tab.finds("() => document.querySelector('input')")
        await say(tab, "How do rivers move?")
        await reads(tab, "How do rivers move?")
        await eventually(session.is_ended, "the answer ends")
        kept = [text_of(message) for message in (await session.snapshot())["messages"]]
        await shows(tab, kept)
        await tab.close()

    await asyncio.to_thread(newcomer.npm, them.readme.next("npm install http"), them.project)
    chat.write_text(changed(chat.read_text(), them.readme.next("-import")))
    with them.page() as url:
        tabs = [await laptop.visit(f"{url}/{session.id}", width=800, height=600)]
        await shows(tabs[0], kept)
        await say(tabs[0], LONG)
        await reads(tabs[0], LONG)
        tabs.append(await phone.visit(f"{url}/{session.id}", width=390, height=844))
        await reads(tabs[1], LONG)
        await tabs[1].command("click", button="Stop")
        await eventually(session.is_ended, "the answer ends")
        stopped = await session.snapshot()
        for each in tabs:
            await shows(each, [text_of(message) for message in stopped["messages"]])
        complaints = [await each.complaints() for each in tabs]
    assert stopped["runs"][-1]["outcome"] == "stopped"
    assert len(stopped["messages"]) == 4
    assert complaints == [[], []]


async def brings_agents(them: Newcomer, serve: str) -> None:
    """The agent in Python answers; the other one's settings are good."""
    them.writes("guide.py", "# guide.py")
    them.writes("midstream.toml", "# midstream.toml\n[agents.guide]")
    them.writes("midstream.toml", "# midstream.toml\n[agents.assistant]")
    with them.gateway(serve, them.folder):
        session = Session(them.at)
        await session.send("How is it?", extra={"agent": "guide"})
        answer = (await session.snapshot())["messages"][-1]
    assert text_of(answer) == "It is 21 °C in Rome. You have asked 1 times."


def runs_the_programs(them: Newcomer) -> None:
    """The worker and the backend print and keep their answers; the shell's lines do, too."""
    them.types("pip install './midstream[client]'")
    for name, beginning in (("push.py", "import asyncio, os"), ("proxied.py", "# proxied.py")):
        them.writes(name, beginning)
    pushed, proxied = (
        newcomer.command(f"python {name}", them.folder, them.variables)
        for name in ("push.py", "proxied.py")
    )
    assert pushed == "finished\n"
    assert kept_in(them, "rivers")[-1] == "Slowly, and then all at once. "
    assert kept_in(them, "trip")[-1] == proxied != ""
    printed = them.types("GATEWAY=")
    told = printed[printed.rindex('{"stopped"') :]
    stopped, length = json.JSONDecoder().raw_decode(told)
    kept = json.loads(told[length:])
    assert len(stopped["stopped"]) == 1
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]


def kept_in(them: Newcomer, session: str) -> list[str]:
    """Return the texts of a session."""
    with urllib.request.urlopen(f"{them.at.url}/api/chat/{session}", timeout=10) as answer:  # noqa: S310
        return [text_of(message) for message in json.load(answer)["messages"]]
