"""The demo's own endpoints: who can be asked, and a worker killed on request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import is_alive, wait_until
from tests.support.sessions import Session, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.api.conftest import Served

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

ENDLESS_ANSWER = "[[tokens=100000 rate=20 first=0]] hello"


async def test_visitor_kills_the_worker_that_writes(start: Callable[..., Served]) -> None:
    """Whichever worker takes the request, the producer dies, and its run is closed."""
    served = start("--demo", "--workers", "2").wait_serving()
    session = Session(served.at)
    async with session.sending(ENDLESS_ANSWER) as response:
        async for chunk in Transcript().follow(response):
            if chunk["type"] == "text-delta":
                break
        run_id = response.headers["x-midstream-run-id"]
    status, killed = await served.at.call("POST", "/api/demo/kill", {"id": session.id})
    assert (status, killed["runId"]) == (200, run_id)
    await asyncio.to_thread(wait_until, lambda: not is_alive(killed["pid"]), "its death", 10)
    await session.resume()
    [run] = (await session.snapshot())["runs"]
    assert run["outcome"] == "interrupted"


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
