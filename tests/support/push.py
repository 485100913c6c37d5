"""Gateways that workers push into, and workers in processes of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from midstream.client import Midstream
from tests.support.processes import ChildProcess, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.sessions import Session

AGENT_KEY: Final = "agent-key-of-the-worker-1f2e3d"
PUSH_ENVIRONMENT: Final = {"WORKER_KEY": AGENT_KEY}
PUSH_SETTINGS: Final[Settings] = {"agent_keys.worker": {"key_env": "WORKER_KEY"}}
PATIENT: Final[Settings] = {**PUSH_SETTINGS, "runs": {"lease_s": 60.0}}
"""The runs of workers that are busy, or away for a while, stay theirs."""


def client_of(deployment: Deployment, **options: Any) -> Midstream:
    """Return a client of all gateways of a deployment."""
    urls = [gateway.at.url for gateway in deployment.gateways]
    return Midstream(urls, key=AGENT_KEY, **options)


async def answer_of(session: Session) -> dict[str, Any]:
    """Return the last stored message of a session."""
    message: dict[str, Any] = (await session.snapshot())["messages"][-1]
    return message


class PushWorker:
    """A worker in a process of its own; see `push_worker.py`.

    Args:
        log: the file for this attempt's output.
    """

    def __init__(self, deployment: Deployment, session: str, log: Path, *options: str) -> None:
        urls = ",".join(gateway.at.url for gateway in deployment.gateways)
        command = [
            *(sys.executable, "-m", "tests.support.push_worker"),
            *(urls, AGENT_KEY, session, *options),
        ]
        self.process = ChildProcess(f"worker {log.name}", command, log, forked=True)

    @property
    def told(self) -> list[str]:
        """The lines that it has printed."""
        return [line.strip() for line in self.process.output().splitlines()]

    async def has_told(self, what: str) -> None:
        """Wait until it has printed a line; if it ends instead, fail with its output."""

        def told() -> bool:
            assert self.process.exit_code is None or what in self.told, self.process.output()
            return what in self.told

        await eventually(told, f"the worker says {what}", 30)

    async def has_ended(self) -> str:
        """Wait for its end, and return the outcome of its run that it printed."""
        await eventually(lambda: self.process.exit_code is not None, "the worker ends", 40)
        assert self.process.exit_code == 0, self.process.output()
        return self.told[-1].removeprefix("outcome ")
