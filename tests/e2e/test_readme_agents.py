"""The README's agents, pasted: the one in Python, and the route behind the gateway."""

from __future__ import annotations

import re
import sys
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.backend import node_route
from tests.support.gateway import NEWEST_CLIENT
from tests.support.node import FOLDER
from tests.support.processes import REPOSITORY, ChildProcess, free_port
from tests.support.recipes import MAX_LINES, write_recipes
from tests.support.sessions import Session, Transcript, text_of
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulator import Simulator
    from tests.support.wire import Response

pytestmark = pytest.mark.anyio

ROUTE_URL: Final = "http://127.0.0.1:3000/api/chat"


def blocks(language: str, first_line: str) -> list[str]:
    """Return the README's blocks that begin so."""
    found = re.findall(
        rf"^```{language}\n({re.escape(first_line)}\n.*?)^```$",
        (REPOSITORY / "README.md").read_text(),
        re.M | re.S,
    )
    return [str(block) for block in found]


def write_route(folder: Path) -> Path:
    """Write the README's route, with the packages of the AI SDK beside it."""
    (source,) = blocks("ts", "// app/api/chat/route.ts")
    packages = folder / "node_modules"
    packages.mkdir(parents=True)
    (packages / "@ai-sdk").symlink_to(FOLDER / "node_modules" / "@ai-sdk")
    (packages / "ai").symlink_to(FOLDER / "node_modules" / "ai7")
    route = folder / "route.mts"
    route.write_text(source)
    return route


@pytest.fixture(scope="module")
def served(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A gateway with the README's settings; the route listens where the machine has room."""
    folder = tmp_path_factory.mktemp("readme")
    with ExitStack() as stack:
        route = node_route(write_route(folder / "app"), simulator, folder / "route.log")
        stack.callback(route.end)
        settings = "\n".join(blocks("toml", "# midstream.toml"))
        assert ROUTE_URL in settings
        (folder / "midstream.toml").write_text(settings.replace(ROUTE_URL, route.url))
        port = free_port()
        url = f"http://127.0.0.1:{port}/readyz"
        gateway = ChildProcess(
            "gateway",
            [
                *(sys.executable, "-m", "midstream", "serve", "--port", str(port)),
                *("--config", str(folder / "midstream.toml")),
                *("--data-dir", str(folder / "data")),
            ],
            folder / "gateway.log",
            {"PYTHONPATH": str(write_recipes(folder / "modules"))},
        )
        stack.callback(gateway.end)

        def answers() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        gateway.wait_ready(answers)
        yield Endpoint(port, NEWEST_CLIENT)


def test_each_agent_is_short() -> None:
    """At most fifteen lines, its settings included."""
    for blocks_of_one in (
        [*blocks("python", "# guide.py"), blocks("toml", "# midstream.toml")[0]],
        [*blocks("ts", "// app/api/chat/route.ts"), blocks("toml", "# midstream.toml")[1]],
    ):
        lines = [line for block in blocks_of_one for line in block.splitlines() if line.strip()]
        assert len(lines) <= MAX_LINES


async def test_person_pastes_the_agent_in_python_and_it_answers(served: Endpoint) -> None:
    """A status for present readers, a call with its result, and text; kept but for the status."""
    session = Session(served)
    seen = await session.send("How is it?", extra={"agent": "guide"})
    assert [c["data"]["text"] for c in seen.chunks if c["type"] == "data-status"] == [
        "Looking out of the window."
    ]
    answer = (await session.snapshot())["messages"][-1]
    kinds = [part["type"] for part in answer["parts"]]
    assert kinds == ["step-start", "tool-weather", "step-start", "text"]
    assert answer["parts"][1]["output"] == {"celsius": 21}
    assert text_of(answer) == "It is 21 °C in Rome. You have asked 1 times."


async def read_to(seen: Transcript, response: Response, length: int) -> None:
    """Read until so much text has come, and no further."""
    async for _ in seen.follow(response):
        if len(seen.text) >= length:
            return
    raise AssertionError(f"the run ended with {seen.text!r}")


async def test_person_puts_the_route_behind_the_gateway_and_it_is_durable(
    served: Endpoint,
) -> None:
    """The client goes away and comes back; a stop ends it, and the text is kept."""
    session = Session(served)
    body = {"agent": "assistant"}
    sent, resumed = Transcript(), Transcript()
    async with session.sending("[[tokens=2000 rate=60 first=0]]", extra=body) as response:
        await read_to(sent, response, 40)
    async with session.resuming() as response:
        await read_to(resumed, response, len(sent.text) + 40)
        assert len(await session.stop()) == 1
    assert resumed.text.startswith(sent.text)
    kept = text_of((await session.snapshot())["messages"][-1])
    assert kept.startswith(resumed.text)

    seen = await session.send("[[tokens=20]]", extra=body)
    assert seen.chunks[-1] == {"type": "finish", "finishReason": "stop"}
