"""Real `midstream serve` processes, with simulated models, over a Redis of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import pytest_runtest_makereport
from tests.support.processes import ChildProcess, free_port
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


__all__ = ["pytest_runtest_makereport"]


class Served:
    """One `serve`; `at` is where it listens."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.at = Endpoint(free_port())
        self.data = folder / "data"
        command = [
            *(sys.executable, "-m", "gateway", "serve", "--port", str(self.at.port)),
            *("--data-dir", str(self.data), *arguments),
        ]
        self.process = ChildProcess("serve", command, folder / "log", environment)

    def wait_serving(self) -> Served:
        """Return once it has said where it serves."""
        self.process.wait_ready(lambda: f"Midstream serves on {self.at.url}" in self.output())
        return self

    def output(self) -> str:
        """What it has printed."""
        return self.process.output()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start gateways that are gone after the test."""
    started: list[Served] = []

    def begin(*arguments: str, **environment: str) -> Served:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Served(folder, *arguments, **environment))
        return started[-1]

    yield begin
    for served in started:
        served.process.end()
