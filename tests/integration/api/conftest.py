"""Real `midstream serve` processes, with simulated models, over a Redis of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from midstream import create_app
from tests.support import callers
from tests.support.fixtures import pytest_runtest_makereport
from tests.support.gateway import SHORT_LEASE
from tests.support.in_process import InProcess
from tests.support.processes import ChildProcess, free_port
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from midstream import Gateway

__all__ = ["pytest_runtest_makereport"]


SHORT_LEASE_VARIABLES: Final = {
    f"MIDSTREAM_RUNS_{name.upper()}": str(value) for name, value in SHORT_LEASE["runs"].items()
}


class Served:
    """One `serve`; `at` is where it listens.

    Args:
        forked: not as a person starts it; see ChildProcess. It has short leases, too.
    """

    def __init__(
        self, folder: Path, *arguments: str, forked: bool = True, **environment: str
    ) -> None:
        if forked:
            environment = {**SHORT_LEASE_VARIABLES, **environment}
        self.at = Endpoint(free_port())
        self.data = folder / "data"
        command = [
            *(sys.executable, "-m", "midstream", "serve", "--port", str(self.at.port)),
            *("--data-dir", str(self.data), *arguments),
        ]
        self.process = ChildProcess("serve", command, folder / "log", environment, forked=forked)

    def wait_serving(self) -> Served:
        """Return once it has said where it serves."""
        self.process.wait_ready(lambda: f"Midstream serves on {self.at.url}" in self.output())
        return self

    def output(self) -> str:
        """The process's output so far."""
        return self.process.output()


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start gateways that are gone after the test; `real_command` starts them as a person does."""
    forked = request.node.get_closest_marker("real_command") is None
    started: list[Served] = []

    def begin(*arguments: str, **environment: str) -> Served:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Served(folder, *arguments, forked=forked, **environment))
        return started[-1]

    yield begin
    for served in started:
        served.process.end()


@pytest.fixture
def guarded(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that asks for tokens and agent keys, not open yet."""
    for variable, value in callers.environment():
        monkeypatch.setenv(variable, value)
    return create_app(callers.guarded_settings(redis_url, tmp_path))


@pytest.fixture
async def app(guarded: Gateway) -> AsyncIterator[InProcess]:
    """The same, open."""
    async with guarded.open():
        yield InProcess(guarded)
