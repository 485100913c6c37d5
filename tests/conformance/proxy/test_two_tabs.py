"""A backend that is only an SDK and a loop: its turn in two tabs of the real client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.processes import ChildProcess, eventually
from tests.support.recipes import write_recipes
from tests.support.sessions import as_ai5_holds, new_chat_id, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.node import NodeChat, NodeHost
    from tests.support.sessions import Session
    from tests.support.wire import Endpoint

pytestmark = pytest.mark.anyio

TOOL: Final = '[[tool=weather {"city":"Paris"}]] [[steps=2]]'
_CALLER: Final = """
import sys
from proxied_loop import answer
tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
functions = {"weather": lambda **_: '{"celsius": 21}'}
print("said:", answer(*sys.argv[1:4], [tool], functions, model="sim-instant"))
"""


class Backend:
    """A process that runs the loop of docs/agents.md once."""

    def __init__(self, folder: Path, at: Endpoint, session: str, prompt: str) -> None:
        write_recipes(folder)
        self.process = ChildProcess(
            "backend",
            [sys.executable, "-c", _CALLER, session, "turn-1", prompt],
            folder / "backend.log",
            {
                "OPENAI_BASE_URL": f"{at.url}/proxy/openai/v1",
                "OPENAI_API_KEY": "any",
                "PYTHONPATH": str(folder),
            },
        )


async def reloaded(node: NodeHost, session: Session) -> NodeChat:
    """Open the session in a tab, with the messages that the server has, and resume."""
    held = as_ai5_holds((await session.snapshot())["messages"])
    chat = await node.chat(f"{session.at.url}/api/chat", session.id, messages=held)
    await chat.resume()
    return chat


async def until_open(session: Session) -> None:
    """Wait until a run of the session is under way."""

    async def is_open() -> bool:
        status, answer = await session.at.call("GET", f"/api/chat/{session.id}")
        return status == 200 and bool(answer["runs"]) and answer["runs"][-1]["state"] == "open"

    await eventually(is_open, "the backend has begun", 40)


async def assert_left(deployment: Deployment, mark: str) -> None:
    """Wait until the provider saw the call under way closed from our side."""

    async def left() -> bool:
        requests = await deployment.simulator.requests(mark)
        return bool(requests[-1]["ended"] == "disconnected")

    await eventually(left, "the provider's connection is closed")


async def test_both_tabs_see_a_backends_turn_live_and_after_a_reload(
    node: NodeHost, deployment: Deployment, tmp_path: Path
) -> None:
    """Three calls, two tools, one message: equal in both tabs, and in the log."""
    session = deployment.session()
    answer = deployment.simulator.held(after=100)
    prompt = f"{TOOL} [[tokens=200 rate=60 first=0]] {answer.directive}"
    backend = Backend(tmp_path, session.at, session.id, prompt)
    await until_open(session)
    first = await reloaded(node, session)
    await first.reach(80)
    second = await reloaded(node, session.through(deployment.gateways[1].at))
    await second.reach(80)
    await answer.release()

    ends = [await second.settle(), await first.settle()]
    assert backend.process.wait_exit() == 0, backend.process.output()
    kept = (await session.snapshot())["messages"]
    for end in ends:
        assert (end["status"], end["error"]) == ("ready", None)
        assert end["messages"] == as_ai5_holds(kept)
    parts: list[Any] = [part for part in kept[1]["parts"] if part["type"] == "tool-weather"]
    assert [part["output"] for part in parts] == [{"celsius": 21}] * 2
    assert f"said: {text_of(kept[1])}" in backend.process.output()


async def test_stop_from_the_other_tab_ends_the_backends_turn(
    node: NodeHost, deployment: Deployment, tmp_path: Path
) -> None:
    """The loop ends by itself and keeps the text; the provider's work is cancelled."""
    session, mark = deployment.session(), new_chat_id()
    backend = Backend(
        tmp_path, session.at, session.id, f"{mark} {TOOL} [[tokens=3000 rate=60 first=0]]"
    )
    await until_open(session)
    first = await reloaded(node, session)
    await first.reach(60)
    elsewhere = session.through(deployment.gateways[1].at)
    second = await reloaded(node, elsewhere)
    await second.reach(60)

    assert len(await elsewhere.stop()) == 1
    ends = [await first.settle(), await second.settle()]

    assert backend.process.wait_exit() == 0, backend.process.output()
    snapshot = await session.snapshot()
    assert snapshot["runs"][-1]["outcome"] == "stopped"
    for end in ends:
        assert (end["status"], end["error"]) == ("ready", None)
        assert end["messages"] == as_ai5_holds(snapshot["messages"])
    assert f"said: {text_of(snapshot['messages'][1])}" in backend.process.output()
    await assert_left(deployment, mark)


async def test_tab_of_a_killed_backend_sees_the_end(
    node: NodeHost, deployment: Deployment, tmp_path: Path
) -> None:
    """At once, as its connection is gone.

    The text before it is kept, and no generation continues.
    """
    session, mark = deployment.session(), new_chat_id()
    backend = Backend(
        tmp_path, session.at, session.id, f"{mark} {TOOL} [[tokens=3000 rate=60 first=0]]"
    )
    await until_open(session)
    tab = await reloaded(node, session)
    await tab.reach(60)

    backend.process.kill()
    end = await tab.settle()

    assert "program that wrote it stopped" in end["error"]
    snapshot = await session.snapshot()
    assert snapshot["runs"][-1]["outcome"] == "interrupted"
    assert text_of(snapshot["messages"][1])
    await assert_left(deployment, mark)


async def test_tab_of_a_killed_gateway_sees_the_end(
    node: NodeHost, own_deployment: Deployment, tmp_path: Path
) -> None:
    """The backend's call breaks off; another gateway closes the run, and the session is usable."""
    writer, survivor = own_deployment.add_gateways(2)
    session, mark = own_deployment.session(), new_chat_id()
    backend = Backend(
        tmp_path, session.at, session.id, f"{mark} {TOOL} [[tokens=3000 rate=60 first=0]]"
    )
    await until_open(session)
    elsewhere = session.through(survivor.at)
    tab = await reloaded(node, elsewhere)
    await tab.reach(60)

    writer.process.kill()
    end = await tab.settle()

    assert "process that produced it stopped" in end["error"]
    assert backend.process.wait_exit() != 0
    assert "APIError" in backend.process.output() or "Connection" in backend.process.output()
    assert text_of((await elsewhere.snapshot())["messages"][1])
    again = Backend(tmp_path / "again", survivor.at, session.id, "Hi [[tokens=4]]")
    assert again.process.wait_exit() == 1
    assert "has ended" in again.process.output()
