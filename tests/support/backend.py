"""Backends that answer the AI SDK's request, each in a process of its own."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from tests.support.node import FOLDER, node_binary
from tests.support.processes import ChildProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.simulator import Simulator


class Backend:
    """One backend, ready when constructed; its address is `url`."""

    def __init__(
        self,
        name: str,
        port: int,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.url = f"http://127.0.0.1:{port}/api/chat"
        self.process = ChildProcess(name, command, log, environment)
        self.process.wait_ready(lambda: _listens(port))

    def end(self) -> None:
        """Kill it with its children: `node` may be a wrapper around the real program."""
        self.process.kill()


def node_route(module: Path, simulator: Simulator, log: Path) -> Backend:
    """Serve a JavaScript module's `POST`, with the simulator as its model."""
    port = free_port()
    command = [node_binary(), str(FOLDER / "serve_route.mjs"), str(port), str(module)]
    environment = {
        "ANTHROPIC_BASE_URL": f"{simulator.url}/anthropic/v1",
        "ANTHROPIC_API_KEY": "any",
    }
    return Backend(module.name, port, command, log, environment)


def asgi_application(name: str, log: Path, environment: Mapping[str, str]) -> Backend:
    """Serve `module:application`."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", name, "--port", str(port)]
    return Backend(name, port, command, log, environment)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
