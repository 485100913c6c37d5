"""People see a worker's pushed answer like any other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from midstream.client import Midstream
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.client import Run
    from tests.support.browser import Profile, Tab
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

QUESTION = "How do rivers move?"


class Worker:
    """Writes a run for the test; continues by itself with each word until told to be silent."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.said = ""
        self._silent = asyncio.Event()
        self._end = asyncio.Event()

    async def work(self) -> None:
        """Say a word every 20 ms, then nothing, then end."""
        async with self.run as run:
            await run.status("thinking")
            await run.tool("look", {"at": "rivers"}).output("long")
            while not self._silent.is_set():
                word = f"word-{len(self.said.split())} "
                await run.text(word)
                self.said += word
                await asyncio.sleep(0.02)
            await self._end.wait()

    def be_silent(self) -> None:
        """Write nothing more, and stay alive."""
        self._silent.set()

    def end(self) -> None:
        """End the answer."""
        self._silent.set()
        self._end.set()


@asynccontextmanager
async def working(
    deployment: Deployment, chat: str
) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    """A worker that pushes into the gateway which the tabs are not connected to."""
    async with Midstream(deployment.gateways[1].at.url) as client:
        worker = Worker(client.run(chat, key="job", text=QUESTION))
        task = asyncio.create_task(worker.work())
        try:
            yield worker, task
        finally:
            worker.end()
            await task


async def open_two(deployment: Deployment, profile: Profile) -> tuple[str, Tab, Tab]:
    """A new session in two tabs that are live."""
    chat, at = new_chat_id(), deployment.gateways[0].at.url
    tabs = [await profile.open(at, chat) for _ in range(2)]
    for tab in tabs:
        await tab.until("chat.session.connection === 'live'")
    return chat, tabs[0], tabs[1]


async def test_tabs_see_a_pushed_answer_live_and_a_reload_loses_nothing(
    deployment: Deployment, laptop: Profile
) -> None:
    """The question, the tool and the words appear in both; all are equal in the end."""
    chat, first, second = await open_two(deployment, laptop)
    async with working(deployment, chat) as (worker, task):
        await asyncio.gather(first.reads(40), second.reads(40))
        await first.reload()
        await first.reads(80)
        worker.end()
        await task
        shown = [await tab.settles(messages=2) for tab in (first, second)]
    kept = (await Session(deployment.gateways[0].at, chat).snapshot())["messages"]
    assert worker.run.outcome == "finished"
    assert [look["messages"] for look in shown] == [kept, kept]
    assert kept[0]["parts"][0]["text"] == QUESTION
    assert text_of(kept[1]) == worker.said
    assert [part["type"] for part in kept[1]["parts"]] == [
        "step-start", "tool-look", "step-start", "text",
    ]  # fmt: skip


async def test_stop_in_a_tab_ends_a_worker_that_is_silent(
    deployment: Deployment, laptop: Profile
) -> None:
    """Both tabs are ready again, with the text; the worker continues after its block."""
    chat, first, second = await open_two(deployment, laptop)
    async with working(deployment, chat) as (worker, task):
        await asyncio.gather(first.reads(40), second.reads(40))
        worker.be_silent()
        await worker.run.flush()
        await second.stop()
        await task
        shown = [await tab.settles(messages=2) for tab in (first, second)]
    kept = (await Session(deployment.gateways[0].at, chat).snapshot())["messages"]
    assert worker.run.outcome == "stopped"
    assert [look["messages"] for look in shown] == [kept, kept]
    assert {look["session"]["run"]["outcome"] for look in shown} == {"stopped"}
    assert worker.said.startswith(text_of(kept[1])) and text_of(kept[1])
