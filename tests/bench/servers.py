"""Runs the gateway and its peers as processes on loopback ports."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import redis

from tests.bench.builds import PINS, UnavailableError, environment
from tests.bench.clients import ask, post
from tests.support.gateway import DEFAULT_LEASE, UNLIMITED, GatewayProcess, Settings, merged
from tests.support.node import node_binary
from tests.support.processes import (
    REPOSITORY,
    START_LIMIT_S,
    ChildProcess,
    children,
    free_port,
    resident_bytes,
)
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.builds import Build

MIDSTREAM: Final = "Midstream"
NODE: Final = "ai 7 + resumable-stream"
BENCH_KEY: Final = "bench-key-of-the-worker"
WITH_WORKER: Final[Settings] = {
    "agent_keys.worker": {"key_env": "BENCH_WORKER_KEY"},
    "runs": {"lease_s": 120.0},
}
"""Settings of a gateway that an agent outside may write to. Its proxy then wants a key, too. The
lease is longer than a measurement: the writers append, and do not renew."""

RESUMABLE: Final = "fastapi-resumable-stream"
LITELLM: Final = "LiteLLM proxy"
DURABLE: Final = "Durable Streams, files"
DURABLE_MEMORY: Final = "Durable Streams, memory"
PROXY: Final = "byte proxy"
BARE: Final = "bare `transport.write`"

_PEER_PROGRAM: Final = Path(__file__).parent / "node" / "peer.mjs"
_DURABLE_PROGRAM: Final = Path(__file__).parent / "node" / "durable.mjs"
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Plan:
    """What is asked of the measurements.

    Attributes:
        base: another build, measured beside the working tree's.
        rounds: in how many rounds programs are compared.
        left_out: program -> why it is not measured; filled on the way.
    """

    base: Build | None = None
    rounds: int = 3
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """One program under load: its port, its CPU and its memory, children included."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time it has used so far, user and system."""
        return sum(map(_cpu_seconds, _family(self.pid)))

    def resident_bytes(self) -> int:
        """Return its resident set now."""
        return sum(map(resident_bytes, _family(self.pid)))

    def open_files(self) -> int:
        """Return how many descriptors it has open now."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in _family(self.pid))


def _family(pid: int) -> list[int]:
    return [pid, *(member for child in children(pid) for member in _family(child))]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


class Servers:
    """One Redis and one far end for all, and the programs between them, each a block long."""

    def __init__(
        self, folder: Path, redis: Server, redis_url: str, far_end_port: int, plan: Plan
    ) -> None:
        self.redis = redis
        self.plan = plan
        self._folder = folder
        self.redis_url = redis_url
        self._far_end_port = far_end_port
        self._far_end = f"http://127.0.0.1:{far_end_port}"
        self._numbers = itertools.count()

    def redis_bytes(self) -> int:
        """Return what Redis has allocated for data."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.info("memory")["used_memory"])

    async def finish_answers(self) -> None:
        """Let the far end finish all its streams."""
        await ask(self._far_end_port, post("/finish", {}))

    @contextmanager
    def gateway(
        self,
        redis_url: str | None = None,
        build: Build | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        arguments: Sequence[str] = (),
    ) -> Iterator[Server]:
        """Run `midstream serve` with its defaults, except limits and the addresses of others.

        Args:
            redis_url: of another store than that of all.
            build: another one than the working tree's.
        """
        folder = self._folder / f"gateway-{next(self._numbers)}"
        tree, python, layers = (
            REPOSITORY,
            sys.executable,
            merged(DEFAULT_LEASE, settings or {}),
        )
        if build is not None:
            tree, python = build.tree, build.python
            if (tree / "gateway" / "limits").is_dir():
                layers = merged(layers, UNLIMITED)
        gateway = GatewayProcess(
            folder,
            redis_url or self.redis_url,
            self._far_end,
            layers,
            arguments,
            environment={"BENCH_WORKER_KEY": BENCH_KEY, **(environment or {})},
            forked=False,
            source=tree,
            python=python,
        )
        name = MIDSTREAM if build is None else build.name
        try:
            yield Server(name, gateway.at.port, gateway.process.pid)
        finally:
            gateway.end()

    @contextmanager
    def gateways(self, settings: Settings | None = None) -> Iterator[list[Server]]:
        """Run the working tree's gateway, and that of the base if there is one."""
        with ExitStack() as stack:
            builds = [None] if self.plan.base is None else [None, self.plan.base]
            yield [
                stack.enter_context(self.gateway(build=build, settings=settings))
                for build in builds
            ]

    @contextmanager
    def durable(self, name: str) -> Iterator[Server]:
        """Run the reference server of Durable Streams, in files or in memory."""
        port = free_port()
        command = [node_binary(), str(_DURABLE_PROGRAM), str(port)]
        if name == DURABLE:
            command.append(str(self._folder / f"durable-{next(self._numbers)}"))
        with running(self._folder, "durable", command, port, {"NODE_ENV": "production"}) as pid:
            yield Server(name, port, pid)

    @contextmanager
    def resumable(self) -> Iterator[list[Server]]:
        """Run the peer in Python: fastapi-resumable-stream; nothing where it is not installable."""
        python = self._peer_python(RESUMABLE, "resumable")
        if python is None:
            yield []
            return
        port = free_port()
        program = str(PINS / "resumable_peer.py")
        command = [python, program, "--port", str(port), "--upstream", self._far_end]
        environment = {"REDIS_URL": self.redis_url}
        with running(self._folder, "resumable", command, port, environment) as pid:
            yield [Server(RESUMABLE, port, pid)]

    @contextmanager
    def litellm(self) -> Iterator[list[Server]]:
        """Run LiteLLM's proxy with one model; nothing where it is not installable."""
        python = self._peer_python(LITELLM, "litellm")
        if python is None:
            yield []
            return
        port = free_port()
        config = self._folder / "litellm.yaml"
        config.write_text(
            "model_list: [{model_name: bench, litellm_params: {model: anthropic/bench, "
            f'api_base: "{self._far_end}", api_key: bench}}}}]\n'
            "general_settings: {dangerously_permit_weak_or_unset_master_key: true}\n"
        )
        command = [str(Path(python).with_name("litellm")), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        environment = {"NO_DOCS": "True", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with running(self._folder, "litellm", command, port, environment, limit_s=120) as pid:
            yield [Server(LITELLM, port, pid)]

    def _peer_python(self, name: str, lock: str) -> str | None:
        if name not in self.plan.left_out:
            try:
                return environment(lock, PINS / f"{lock}.txt")
            except UnavailableError as error:
                self.plan.left_out[name] = str(error)
        return None

    @contextmanager
    def node(self) -> Iterator[Server]:
        """Run the peer in Node: ai 7 with resumable-stream."""
        port = free_port()
        command = [node_binary(), str(_PEER_PROGRAM), str(port), self._far_end]
        environment = {"REDIS_URL": self.redis_url, "NODE_ENV": "production"}
        with running(self._folder, "node", command, port, environment) as pid:
            yield Server(NODE, port, pid)

    @contextmanager
    def proxy(self) -> Iterator[Server]:
        """Run the proxy that copies bytes."""
        arguments = ("byte_proxy", "--upstream", self._far_end)
        with running_module(self._folder, *arguments) as (port, pid):
            yield Server(PROXY, port, pid)

    @contextmanager
    def bare_writer(self, rate: int) -> Iterator[Server]:
        """Run the program that writes to all its sockets."""
        arguments = ("bare_writer", "--rate", str(rate))
        with running_module(self._folder, *arguments) as (port, pid):
            yield Server(BARE, port, pid)


@contextmanager
def serving(folder: Path, plan: Plan | None = None) -> Iterator[Servers]:
    """Run Redis and the far end."""
    with ExitStack() as stack:
        store = RedisServer(folder)
        stack.callback(store.end)
        store.start()
        assert store.process is not None
        far_end_port, _ = stack.enter_context(running_module(folder, "far_end"))
        server = Server("Redis", store.port, store.process.pid)
        yield Servers(folder, server, store.url, far_end_port, plan or Plan())


@contextmanager
def running_module(folder: Path, name: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run a program of this package on a free port; yields the port and its process id."""
    port = free_port()
    command = [sys.executable, "-m", f"tests.bench.{name}", "--port", str(port), *arguments]
    with running(folder, name, command, port) as pid:
        yield port, pid


@contextmanager
def running(
    folder: Path,
    name: str,
    command: Sequence[str],
    port: int,
    environment: Mapping[str, str] | None = None,
    limit_s: float = START_LIMIT_S,
) -> Iterator[int]:
    """Run a program that listens on `port`; yields its process id."""
    process = ChildProcess(name, command, folder / f"{name}.log", environment)
    try:
        process.wait_ready(lambda: _accepts(port), limit_s)
        yield process.pid
    finally:
        process.end()


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
