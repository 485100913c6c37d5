"""The recipes of docs/agents.md, as they stand there."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import NEWEST_CLIENT
from tests.support.processes import ChildProcess, free_port
from tests.support.recipes import MAX_LINES, recipes
from tests.support.sessions import Session, Transcript, as_ai5_holds, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conformance.agents.conftest import Backends
    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", sorted(recipes()))
def test_recipe_is_short(name: str) -> None:
    """At most so many lines of code, the blank ones not counted."""
    assert len([line for line in recipes()[name].splitlines() if line.strip()]) <= MAX_LINES


async def test_graph_streams_into_the_run(with_agents: Deployment) -> None:
    """Its nodes write the answer, and the status before it."""
    session = with_agents.session()
    seen = await session.send("How is it?", extra={"agent": "graph", "city": "Rome"})
    assert seen.text == "Rome is sunny."
    assert [c["data"] for c in seen.chunks if c["type"] == "data-status"] == [
        {"text": "Looking at Rome."}
    ]


class Application:
    """An application with a gateway in it, in a process of its own, and what they share."""

    def __init__(
        self, name: str, root: str, deployment: Deployment, environment: Mapping[str, str]
    ) -> None:
        port = free_port()
        command = [
            *(sys.executable, "-m", "uvicorn", name, "--port", str(port)),
            *("--timeout-graceful-shutdown", "1"),
        ]
        environment = {**environment, "REDIS_URL": deployment.redis.url}
        log = deployment.folder / "application.log"
        self.process = ChildProcess(name, command, log, environment)
        self.deployment = deployment
        self.session = Session(Endpoint(port, NEWEST_CLIENT, root))
        self.process.wait_ready(lambda: "Uvicorn running on" in self.process.output())


@pytest.fixture
def application(
    request: pytest.FixtureRequest, backends: Backends, own_deployment: Deployment
) -> Iterator[Application]:
    """The one that the test names, with the path that its gateway is mounted at."""
    name, root = request.param
    made = Application(name, root, own_deployment, backends.environment)
    yield made
    made.process.end()


RECIPE = ("mounted:app", "/ai")
"""On FastAPI."""
SLOW = ("tests.support.mounted_app:app", "/api/chat")
"""On Starlette, with an agent that takes its time."""


@pytest.mark.parametrize("application", [RECIPE], indirect=True)
async def test_mounted_gateway_serves_below_its_path(
    application: Application, node: NodeHost
) -> None:
    """Sends, snapshots, resumes, and WebSockets."""
    session = application.session
    for number, transport in enumerate(("default", "websocket"), start=1):
        held = as_ai5_holds((await session.snapshot())["messages"]) if number > 1 else []
        chat = await node.chat(
            f"{session.at.url}/api/chat",
            session.id,
            transport=transport,  # type: ignore[arg-type]
            messages=held,
        )
        await chat.send("hello")
        end = await chat.settle()
        assert (end["status"], end["error"]) == ("ready", None)
        assert text_of(end["messages"][-1]) == f"You have said {2 * number - 1} things."
        assert end["messages"] == as_ai5_holds((await session.snapshot())["messages"])
    assert await session.resume() is None
    assert await session.stop() == []


@pytest.mark.parametrize("application", [SLOW], indirect=True)
async def test_mounted_gateway_is_resumed_and_stopped_below_its_path(
    application: Application,
) -> None:
    """Also where the path is one of the gateway's own."""
    session = application.session
    async with session.sending("count", extra={"words": 10_000}) as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if len(seen.text) > 20:
                break
    resumed = Transcript()
    async with session.resuming() as response:
        await anext(aiter(resumed.follow(response)))
        assert len(await session.stop()) == 1
        await resumed.read(response)
    assert resumed.types[-2:] == ["abort", "finish"]
    assert resumed.text.startswith(seen.text)


@pytest.mark.parametrize("application", [SLOW], indirect=True)
async def test_shutdown_of_the_outer_application_lets_runs_finish(
    application: Application,
) -> None:
    """Readers are sent away, the runs end well, and the process ends by itself."""
    session = application.session
    async with session.sending("count", extra={"words": 300}) as response:
        await anext(aiter(Transcript().follow(response)))
        application.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(application.process.wait_exit, 30)

    other = session.through(application.deployment.add_gateway().at)
    snapshot = await other.snapshot()
    assert snapshot["runs"][-1]["outcome"] == "finished"
    assert text_of(snapshot["messages"][-1]).split() == [str(number) for number in range(300)]
