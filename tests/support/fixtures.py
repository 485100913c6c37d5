"""Fixtures that the black-box folders import into their conftest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.forked import SWITCHED_OFF
from tests.support.gateway import GatewayProcess, Settings
from tests.support.node import NodeHost, node_host
from tests.support.processes import living
from tests.support.redis_server import RedisServer
from tests.support.sessions import Session
from tests.support.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

FAST_PATHS: Final = ("api.streaming.direct_write", "store.wire", "providers.stream.tap")
NO_FAST_PATHS: Final = {SWITCHED_OFF: " ".join(f"midstream.{name}" for name in FAST_PATHS)}
"""The environment of gateways without the fast paths that a user's may lack, too."""

both_ways: Final = pytest.mark.parametrize(
    "own_deployment", [{}, NO_FAST_PATHS], indirect=True, ids=["fast paths", "none"]
)
"""Has a test run with gateways with the fast paths, and without."""


@dataclass
class Deployment:
    """A Redis, the simulator, and gateways over both."""

    folder: Path
    redis: RedisServer
    simulator: Simulator
    gateways: list[GatewayProcess] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)

    def add_gateway(
        self,
        settings: Settings | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> GatewayProcess:
        """Start another gateway, ready when this returns."""
        (gateway,) = self.add_gateways(1, settings, arguments, environment)
        return gateway

    def add_gateways(
        self,
        count: int,
        settings: Settings | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> list[GatewayProcess]:
        """Start several gateways at the same time, ready when this returns."""
        added: list[GatewayProcess] = []
        for _ in range(count):
            folder = self.folder / f"gateway-{len(self.gateways)}"
            gateway = GatewayProcess(
                folder,
                self.redis.url,
                self.simulator.url,
                settings,
                arguments,
                {**self.environment, **(environment or {})},
                wait=False,
            )
            self.gateways.append(gateway)
            added.append(gateway)
        for gateway in added:
            gateway.wait_ready()
        return added

    def session(self, gateway: int = 0) -> Session:
        """Return a new chat, seen through one of the gateways."""
        return Session(self.gateways[gateway].at)

    def end(self) -> None:
        """End the gateways and the Redis; the simulator belongs to another fixture."""
        for gateway in self.gateways:
            gateway.end()
        self.redis.end()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of async tests; one for the session, so that fixtures share it."""
    return "asyncio"


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The simulated providers, for the whole session."""
    process = Simulator(tmp_path_factory.mktemp("simulator"))
    yield process
    process.end()


@pytest.fixture(scope="session")
def deployment(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Two gateways over one Redis, shared by tests: do not break them.

    The second one does without the fast paths.
    """
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("deployment"), stack)
        made.add_gateway()
        made.add_gateway(environment=NO_FAST_PATHS)
        yield made


@pytest.fixture
def own_deployment(
    request: pytest.FixtureRequest, simulator: Simulator, tmp_path: Path
) -> Iterator[Deployment]:
    """A Redis for one test, without gateways yet; the test may break it. See `both_ways`."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path, stack)
        made.environment = getattr(request, "param", {})
        yield made


def start_deployment(simulator: Simulator, folder: Path, stack: ExitStack) -> Deployment:
    """Start a Redis for later gateways; the stack ends all of them."""
    redis = RedisServer(folder)
    made = Deployment(folder, redis, simulator)
    stack.callback(made.end)
    redis.start()
    return made


@pytest.fixture(scope="session")
async def node(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[NodeHost]:
    """The process that hosts real AI SDK chats."""
    async with node_host(tmp_path_factory.mktemp("node") / "stderr") as host:
        yield host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the processes' output beside a failure."""
    report = yield
    if report.failed:
        for process in living:
            report.sections.append((f"{process.name} said", process.output()[-2000:]))
    return report
