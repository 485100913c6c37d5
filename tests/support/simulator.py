"""The simulated providers, as a process of their own, and what their far end saw."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.support.processes import ChildProcess, free_port
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from pathlib import Path


class Simulator:
    """The process that gateways call as if it were Anthropic and OpenAI."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gateway.providers.simulator", "--port", str(self.port)]
        self.process = ChildProcess("simulator", command, folder / "simulator.log")
        self.process.wait_ready(self._answers)

    async def requests(self, containing: str) -> list[dict[str, Any]]:
        """Return the requests so far whose body holds `containing`, oldest first."""
        status, answer = await Endpoint(self.port).call("GET", "/sim/requests")
        assert status == 200, answer
        listed = answer["requests"] if isinstance(answer, dict) else answer
        return [request for request in listed if containing in json.dumps(request)]

    def end(self) -> None:
        """End the process."""
        self.process.end()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/sim/requests", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False
