"""Servers to examine, and what was found of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.store.server.examination import examine
from tests.support.fixtures import pytest_runtest_makereport, simulator
from tests.support.redis_kinds import kinds
from tests.support.redis_server import RedisServer
from tests.support.topologies import each_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from midstream.store.server.verdict import Verdict
    from tests.support.redis_kinds import Kind

__all__ = ["pytest_runtest_makereport", "simulator"]


class AsSet(RedisServer):
    """A server with options of a test's; a good one without."""

    def __init__(self, folder: Path, options: dict[str, str], program: str | None = None) -> None:
        super().__init__(folder, program=program)
        self._options = {"maxmemory": "100mb", "appendonly": "yes", "save": "", **options}

    def options(self) -> list[str]:
        """See RedisServer."""
        return [word for name, value in self._options.items() for word in (f"--{name}", value)]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., AsSet]]:
    """Start servers with options, which are gone after the test."""
    started: list[AsSet] = []

    def start(program: str | None = None, **options: str) -> AsSet:
        folder = tmp_path / f"redis-{len(started)}"
        folder.mkdir()
        named = {name.replace("_", "-"): value for name, value in options.items()}
        server = AsSet(folder, named, program)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.end()


@pytest.fixture(params=each_kind(kinds()))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each server that this machine can run."""
    made: Kind = request.param
    return made


async def found_at(url: str) -> dict[str, Verdict]:
    """Examine a Redis; return what was found, by subject."""
    found: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        assert verdict.subject not in found, "each property is judged once"
        found[verdict.subject] = verdict

    await examine(url, "ms", tell, command_timeout_s=3)
    return found
