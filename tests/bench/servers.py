"""Runs the gateway and its peers as processes on loopback ports."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.clients import ask, post
from tests.support.gateway import DEFAULT_LEASE, GatewayProcess
from tests.support.node import node_binary
from tests.support.processes import ChildProcess, children, free_port, resident_bytes
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIDSTREAM: Final = "Midstream"
NODE: Final = "ai 7 + resumable-stream"
PROXY: Final = "byte proxy"
BARE: Final = "bare `transport.write`"

_PEER_PROGRAM: Final = Path(__file__).parent / "node" / "peer.mjs"
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


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


def _family(pid: int) -> list[int]:
    return [pid, *(member for child in children(pid) for member in _family(child))]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


class Servers:
    """One Redis and one far end for all, and the programs between them, each a block long."""

    def __init__(self, folder: Path, redis: Server, redis_url: str, far_end_port: int) -> None:
        self.redis = redis
        self._folder = folder
        self._redis_url = redis_url
        self._far_end_port = far_end_port
        self._far_end = f"http://127.0.0.1:{far_end_port}"
        self._numbers = itertools.count()

    async def finish_answers(self) -> None:
        """Let the far end finish all its streams."""
        await ask(self._far_end_port, post("/finish", {}))

    @contextmanager
    def gateway(self, redis_port: int | None = None) -> Iterator[Server]:
        """Run `midstream serve` with its defaults, except the addresses of models and Redis."""
        folder = self._folder / f"gateway-{next(self._numbers)}"
        redis_url = f"redis://127.0.0.1:{redis_port}/0" if redis_port else self._redis_url
        gateway = GatewayProcess(folder, redis_url, self._far_end, DEFAULT_LEASE, forked=False)
        try:
            yield Server(MIDSTREAM, gateway.at.port, gateway.process.pid)
        finally:
            gateway.end()

    @contextmanager
    def node(self) -> Iterator[Server]:
        """Run the peer in Node: ai 7 with resumable-stream."""
        port = free_port()
        command = [node_binary(), str(_PEER_PROGRAM), str(port), self._far_end]
        environment = {"REDIS_URL": self._redis_url, "NODE_ENV": "production"}
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
def serving(folder: Path) -> Iterator[Servers]:
    """Run Redis and the far end."""
    with ExitStack() as stack:
        redis = RedisServer(folder)
        stack.callback(redis.end)
        redis.start()
        assert redis.process is not None
        far_end_port, _ = stack.enter_context(running_module(folder, "far_end"))
        server = Server("Redis", redis.port, redis.process.pid)
        yield Servers(folder, server, redis.url, far_end_port)


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
) -> Iterator[int]:
    """Run a program that listens on `port`; yields its process id."""
    process = ChildProcess(name, command, folder / f"{name}.log", environment)
    try:
        process.wait_ready(lambda: _accepts(port))
        yield process.pid
    finally:
        process.end()


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
