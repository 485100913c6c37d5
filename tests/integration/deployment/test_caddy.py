"""The deployment's own Caddyfile, in a real Caddy before two gateways."""

from __future__ import annotations

import urllib.request
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

import pytest

from midstream.doctor.through import examine_through
from tests.support.deploy_tools import CADDY
from tests.support.fixtures import simulator, start_deployment
from tests.support.processes import REPOSITORY, ChildProcess, free_port
from tests.support.sessions import Session, Transcript, text_of
from tests.support.verdicts import bad
from tests.support.wire import ConnectionLost, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from midstream.store.server.verdict import Verdict
    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

__all__ = ["simulator"]

pytestmark = [pytest.mark.anyio, pytest.mark.release]

SETTINGS: Settings = {"server": {"heartbeat_interval_s": 3.0, "drain_limit_s": 5.0}}


def answers(url: str) -> int:
    """Return the status of a GET; 0 if nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return int(response.status)
    except HTTPError as error:
        return error.code
    except (URLError, ConnectionError, TimeoutError):
        return 0


@pytest.fixture
def gateways(simulator: Simulator, tmp_path: Path) -> Iterator[Deployment]:
    """Two gateways over one Redis."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path, stack)
        made.add_gateways(2, SETTINGS)
        yield made


@pytest.fixture
def caddy(gateways: Deployment, tmp_path: Path) -> Iterator[Endpoint]:
    """Caddy before them."""
    port = free_port()
    folder = tmp_path / "caddy"
    folder.mkdir()
    process = ChildProcess(
        "caddy",
        [str(CADDY), "run", "--config", "deploy/caddy/Caddyfile", "--adapter", "caddyfile"],
        folder / "log",
        {
            "ADDRESS": f"http://127.0.0.1:{port}",
            "GATEWAYS": " ".join(f"127.0.0.1:{gateway.at.port}" for gateway in gateways.gateways),
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        },
        REPOSITORY,
    )
    process.wait_ready(lambda: answers(f"http://127.0.0.1:{port}/livez") == 200)
    yield Endpoint(port)
    process.end()


async def test_doctor_finds_nothing_wrong_with_it(caddy: Endpoint) -> None:
    """Streams, heads, bodies and WebSockets pass, and numbers for Prometheus do not."""
    found: dict[str, Verdict] = {}
    await examine_through(
        caddy.url,
        lambda verdict: found.update({verdict.subject: verdict}),
        token="",
        hold_s=8.0,
        max_body_bytes=8 * 1024 * 1024,
    )
    assert found
    assert bad(found) == {}
    assert answers(f"{caddy.url}/metrics") == 404


async def test_reader_and_sender_go_on_while_a_gateway_is_replaced(
    gateways: Deployment, caddy: Endpoint
) -> None:
    """One drains while it reads; new sends go to the other."""
    session = Session(caddy)
    held = gateways.simulator.held(tokens=12)
    seen = Transcript()
    async with session.sending(held.question) as response:
        async for chunk in seen.follow(response):
            if chunk["type"] == "text-delta":
                break
    run = response.headers["x-midstream-run-id"]
    begun = next(gateway for gateway in gateways.gateways if run in gateway.process.output())
    begun.terminate()
    await held.release()
    while not seen.done:
        with suppress(ConnectionLost):
            async with session.resuming(after=seen.last_id) as response:
                await seen.read(response)
    assert seen.text == text_of((await session.snapshot())["messages"][-1])

    assert begun.process.wait_exit() == 0
    for _ in range(3):
        assert (await Session(caddy).send("How do rivers move?")).done
