"""The AI SDK's own providers, on Node, against the simulator."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.node import FOLDER, node_binary

if TYPE_CHECKING:
    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).with_name("ai_sdk.mjs")


async def test_ai_sdk_reads_every_wire(sim: Simulated) -> None:
    """Text, tool loops with reasoning, sources, refusals and failures arrive as they should."""
    node = await asyncio.create_subprocess_exec(
        node_binary(),
        "--input-type=module",
        "-",
        sim.url,
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await node.communicate(await asyncio.to_thread(PROGRAM.read_bytes))
    assert node.returncode == 0, errors.decode()
    answers: dict[tuple[str, str], Any] = {}
    for line in output.splitlines():
        answer = json.loads(line)
        answers[answer["provider"], answer["name"]] = answer
    for provider in ("anthropic", "openai", "openai-chat"):
        text = answers[provider, "text"]
        assert (text["finish"], text["tokens"], text["errors"]) == ("stop", 20, [])
        assert text["text"].startswith("You asked: *Hi*")
        tools = answers[provider, "tools"]
        assert (tools["finish"], tools["steps"], tools["errors"]) == ("stop", 4, [])
        assert tools["results"] == ["sunny in Rome"] * 3
        assert "answered: sunny in Rome" in tools["text"]
        assert answers[provider, "sources"]["sources"] == 2
        assert answers[provider, "refusal"]["finish"] == "content-filter"
        assert answers[provider, "error"]["errors"] == ["Overloaded"]
        assert answers[provider, "error"]["finish"] == "error"
        assert answers[provider, "interrupted"]["finish"] == "interrupted"
