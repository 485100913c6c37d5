"""The demo's own endpoints: who can be asked, and a worker killed on request."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import eventually, is_alive, wait_until
from tests.support.sessions import Session, Transcript, text_of
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api.conftest import Served

pytestmark = pytest.mark.anyio

ENDLESS_ANSWER = "[[tokens=100000 rate=20 first=0]] hello"


LONG_ANSWER = "[[tokens=300 rate=50 first=0]] hello"
SAME_ANSWER = "[[tokens=300 rate=0 first=0]] hello"


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


async def begin(session: Session, text: str, **extra: object) -> None:
    """Send, and go away once the answer has a word."""
    async with session.sending(text, extra=extra) as response:
        async for chunk in Transcript().follow(response):
            if chunk["type"] == "text-delta":
                return


async def test_answer_arrives_although_its_worker_is_killed(start: Callable[..., Served]) -> None:
    """The producer dies, whichever worker took the request.

    Another worker, which the page can name, resumes the run and continues with the same words: with
    each of the demo's agents.
    """
    served = start("--demo", "--workers", "2").wait_serving()
    outcomes, texts = [], set()
    for agent in ("simulator-openai", "simulator", "simulator-openai-chat"):
        session, undisturbed = Session(served.at), Session(served.at)
        await begin(session, LONG_ANSWER, agent=agent)
        _, before = await served.at.call("GET", f"/api/demo/worker/{session.id}")
        status, killed = await served.at.call("POST", "/api/demo/kill", {"id": session.id})
        assert (status, killed) == (200, before)
        await asyncio.to_thread(wait_until, partial(is_dead, killed["pid"]), "its death")
        await session.resume()
        await undisturbed.send(SAME_ANSWER, extra={"agent": agent})
        for each in (session, undisturbed):
            snapshot = await each.snapshot()
            outcomes += [run["outcome"] for run in snapshot["runs"]]
            texts.add(text_of(snapshot["messages"][-1]))

    assert outcomes == ["finished"] * 6
    assert len(texts) == 1


async def test_visitor_is_told_which_worker_goes_on(start: Callable[..., Served]) -> None:
    """Another one than the dead one, at the same run; and nobody, once it is over."""
    served = start("--demo", "--workers", "2").wait_serving()
    session = Session(served.at)
    await begin(session, ENDLESS_ANSWER)
    _, killed = await served.at.call("POST", "/api/demo/kill", {"id": session.id})

    async def another_goes_on() -> bool:
        try:
            _, now = await served.at.call("GET", f"/api/demo/worker/{session.id}")
        except ConnectionLost:
            return False  # asked of the one that is dying
        is_same = now["runId"] == killed["runId"] and now["dead"] == [killed["pid"]]
        return is_same and now["pid"] not in (None, killed["pid"])

    await eventually(another_goes_on, "another worker goes on")
    await session.stop()
    _, after = await served.at.call("GET", f"/api/demo/worker/{session.id}")

    assert after == {"runId": None, "pid": None, "dead": []}


async def test_visitor_kills_nobody_where_nothing_is_written(start: Callable[..., Served]) -> None:
    """It is refused, and everybody lives."""
    served = start("--demo").wait_serving()
    session = Session(served.at)
    await session.send("[[tokens=5 rate=0 first=0]] hello")
    status, refused = await served.at.call("POST", "/api/demo/kill", {"id": session.id})
    assert (status, refused["error"]["code"]) == (404, "run_not_found")


async def test_gateway_without_the_demo_kills_nobody(start: Callable[..., Served]) -> None:
    """There is no such address, and none of the pages."""
    served = start().wait_serving()
    for method, path in (("POST", "/api/demo/kill"), ("GET", "/"), ("GET", "/s/chat_1")):
        assert (await served.at.call(method, path))[0] in (404, 405)


async def test_picker_lists_the_agents_and_their_models(start: Callable[..., Served]) -> None:
    """The default one first, and its own model before the others."""
    served = start().wait_serving()
    _, answer = await served.at.call("GET", "/api/agents")
    first = answer["agents"][0]
    assert (first["name"], first["models"][0]) == ("simulator", "sim")
