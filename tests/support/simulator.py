"""The simulated providers, as a process of their own, and the requests that they got."""

from __future__ import annotations

import json
import secrets
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.support.processes import ChildProcess, free_port
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from pathlib import Path


class HeldAnswer:
    """An answer that pauses half-way until the test releases it.

    So a test can wait for a state in the middle of an answer on a machine of any speed.

    Attributes:
        question: the text to send. Answers to the same question are released together.
        directive: the part of the question that holds; several in one question each hold.
    """

    def __init__(self, simulator: Simulator, tokens: int, after: int, size: int | None) -> None:
        self._simulator = simulator
        self._name = secrets.token_hex(8)
        pieces = f" size={size}" if size is not None else ""
        self.directive = f"[[hold={self._name} after={after}]]"
        self.question = f"How do rivers move? [[tokens={tokens} rate=50{pieces}]] {self.directive}"

    async def release(self) -> None:
        """Let it continue, now and at each later request."""
        path = f"/sim/release/{self._name}"
        status, _ = await Endpoint(self._simulator.port).call("POST", path)
        assert status == 200


class Simulator:
    """The process that gateways call as if it were Anthropic and OpenAI."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "midstream.simulator", "--port", str(self.port)]
        self.process = ChildProcess("simulator", command, folder / "simulator.log", forked=True)
        self.process.wait_ready(self._answers)

    async def requests(self, containing: str) -> list[dict[str, Any]]:
        """Return the requests so far whose body holds `containing`, oldest first."""
        status, answer = await Endpoint(self.port).call("GET", "/sim/requests")
        assert status == 200, answer
        listed = answer["requests"] if isinstance(answer, dict) else answer
        return [request for request in listed if containing in json.dumps(request)]

    async def read(self, question: str) -> list[str]:
        """Return the texts of the messages that the model has read, up to this question."""
        *_, newest = await self.requests(question)
        texts = []
        for message in newest["body"]["messages"]:
            content = message["content"]
            blocks = [{"text": content}] if isinstance(content, str) else content
            texts.append("".join(block.get("text", "") for block in blocks))
        assert texts[-1] == question
        return texts

    def held(
        self, *, tokens: int = 60, after: int | None = None, size: int | None = None
    ) -> HeldAnswer:
        """Return an answer that pauses after some of its tokens, by default two thirds."""
        return HeldAnswer(self, tokens, tokens * 2 // 3 if after is None else after, size)

    def end(self) -> None:
        """End the process."""
        self.process.end()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/sim/requests", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False
