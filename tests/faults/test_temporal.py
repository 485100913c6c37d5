"""Workers of Temporal's real dev server that die while they write an answer."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

import pytest
from temporalio.client import Client

from tests.support.gateway import merged
from tests.support.processes import ChildProcess, eventually, free_port
from tests.support.push import AGENT_KEY, PUSH_ENVIRONMENT, PUSH_SETTINGS, answer_of
from tests.support.redis_kinds import FOLDER
from tests.support.sessions import text_of
from tests.support.temporal_worker import QUEUE, WHOLE, Conversation, Question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fixtures import Deployment

PROGRAM = FOLDER / "bin" / "temporal"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not PROGRAM.is_file(), reason="Temporal's server has no wheel for this platform"
    ),
    pytest.mark.timeout(300),
]

PATIENT = merged(PUSH_SETTINGS, {"runs": {"lease_s": 60.0, "renew_interval_s": 2.5}})
"""A lease that outlives the start of a process on a busy machine."""


class Workers:
    """Temporal's server, and one worker at a time."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self._started = 0
        command = [str(PROGRAM), "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
        command += ["--port", self.address.rpartition(":")[2], "--log-level", "error"]
        self.server = ChildProcess("temporal", command, folder / "temporal")

    async def connect(self) -> Client:
        """Return a client, once the server answers."""

        async def answers() -> bool:
            assert self.server.exit_code is None, self.server.output()
            try:
                self._client = await Client.connect(self.address)
            except RuntimeError:
                return False
            return True

        await eventually(answers, "Temporal's server answers", 60)
        return self._client

    def start(self, *options: str) -> ChildProcess:
        """Start the next worker."""
        self._started += 1
        urls = ",".join(gateway.at.url for gateway in self._deployment.gateways)
        module = [sys.executable, "-m", "tests.support.temporal_worker"]
        log = self._folder / f"worker-{self._started}"
        return ChildProcess(log.name, [*module, self.address, urls, AGENT_KEY, *options], log)

    async def die_after(self, words: int) -> None:
        """Start a worker, and kill it when that many words are stored."""
        worker = self.start("--silent-after", str(words))

        def is_silent() -> bool:
            assert worker.exit_code is None, worker.output()
            return "silent" in worker.output()

        await eventually(is_silent, f"{words} words are stored", 120)
        worker.kill()


@pytest.fixture
def workers(own_deployment: Deployment, tmp_path: Path) -> Iterator[Workers]:
    """Two gateways, and Temporal's server, which ends with the test."""
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    made = Workers(own_deployment, tmp_path)
    yield made
    made.server.kill()


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.release)])
async def test_worker_that_is_killed_writes_one_answer_exactly(
    workers: Workers, own_deployment: Deployment, kills: int
) -> None:
    """With -9 at random points, each time another worker goes on: the workflow's result is true."""
    session = own_deployment.session()
    client = await workers.connect()
    workflow = await client.start_workflow(
        Conversation.run, Question(session.id, "Go."), id=f"wf-{session.id}", task_queue=QUEUE
    )
    for kill in range(kills):
        until = random.randint(kill * 9, kill * 9 + 8)  # noqa: S311
        await workers.die_after(until)
    workers.start()
    assert await asyncio.wait_for(workflow.result(), 120) == "".join(WHOLE)
    snapshot = await session.snapshot()
    assert [text_of(message) for message in snapshot["messages"]] == ["Go.", "".join(WHOLE)]
    assert text_of(await answer_of(session)) == "".join(WHOLE)
