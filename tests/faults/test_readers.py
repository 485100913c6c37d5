"""Promises 6 and 7: a late joiner gets the state; a slow reader delays no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import both_ways
from tests.support.gateway import merged
from tests.support.processes import eventually, resident_bytes
from tests.support.push import PATIENT, PUSH_ENVIRONMENT, client_of
from tests.support.sessions import Session, Transcript, text_of
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.client import Run
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.anyio

WORD = "slowly "
MANY = 50_000
SPARE_BYTES = 20 * 2**20


def add_gateway(deployment: Deployment, write_deadline_s: float) -> GatewayProcess:
    """Add a gateway that workers push into: each of their chunks is one in the log."""
    settings = merged(PATIENT, {"server": {"write_deadline_s": write_deadline_s}})
    return deployment.add_gateway(settings, environment=PUSH_ENVIRONMENT)


@asynccontextmanager
async def pushing(deployment: Deployment, session: Session, key: str = "job") -> AsyncIterator[Run]:
    """Write a run of a session, which ends with the block."""
    async with client_of(deployment) as client:
        async with client.run(session.id, key=key, text="How do rivers move?") as run:
            yield run
        assert run.outcome == "finished"


async def say(run: Run, words: int) -> None:
    """Push some words, each of them a chunk."""
    for _ in range(words):
        await run.text(WORD)
    await run.flush()


@both_ways
async def test_reader_that_takes_nothing_costs_nobody(own_deployment: Deployment) -> None:
    """It holds no memory and no one up, and gets everything when it reads on."""
    gateway = add_gateway(own_deployment, 170.0)
    session = own_deployment.session()
    async with pushing(own_deployment, session, "warm-up") as run:
        await say(run, 2_000)
    before = resident_bytes(gateway.process.pid)

    slow, quick = Transcript(), Transcript()
    writing, followed = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with pushing(own_deployment, session) as run:
            await say(run, 1)
            writing.set()
            await say(run, MANY)
            await followed.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        await writing.wait()
        async with session.resuming(query="?startIndex=0") as stalled:
            assert stalled.status == 200
            async with session.resuming(query="?startIndex=0") as following:
                followed.set()
                await quick.read(following)
            grown = resident_bytes(gateway.process.pid) - before
            await slow.read(stalled)

    assert quick.done
    assert len(quick.chunks) > MANY
    assert slow == quick
    assert grown < SPARE_BYTES


async def test_late_joiner_gets_one_delta_a_part_then_live(own_deployment: Deployment) -> None:
    """Joining after 10,000 chunks costs the message's size, not its history."""
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session()
    elsewhere = session.through(own_deployment.gateways[1].at)
    late = Transcript()
    async with asyncio.TaskGroup() as tasks, pushing(own_deployment, session) as run:
        for _ in range(50):
            await run.reasoning("hm ")
        await say(run, 10_000)
        tasks.create_task(join_and_follow(elsewhere, late))
        await eventually(lambda: len(late.text) >= len(WORD) * 10_000, "it has the state")
        await say(run, 20)

    whole = await session.whole_run(run.id, "?v=5")
    assert late.text == whole.text == text_of((await session.snapshot())["messages"][-1])
    assert len(late.chunks) < 200
    assert len(whole.chunks) > 10_000
    kinds = Counter(late.types)
    assert kinds["reasoning-delta"] == 1
    assert kinds["text-start"] == kinds["text-end"] == 1
    assert kinds["text-delta"] == 21, "and then live"
    assert late.chunks[0]["messageId"] == whole.chunks[0]["messageId"]


async def join_and_follow(session: Session, seen: Transcript) -> None:
    """Read the open run as a tab that has nothing of it."""
    async with session.resuming(query="?v=5") as response:
        await seen.read(response)


async def test_late_joiners_ids_let_it_go_on_where_it_was(deployment: Deployment) -> None:
    """The aggregated state carries its sequence."""
    session = deployment.session()
    answer = deployment.simulator.held()
    await session.begin(answer.question)
    async with session.resuming() as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if len(seen.text) > 100:
                break

    rest = Transcript()
    elsewhere = session.through(deployment.gateways[1].at)
    async with elsewhere.resuming(after=seen.last_id) as response:
        await answer.release()
        await rest.read(response)

    assert rest.done
    assert seen.text + rest.text == text_of((await session.snapshot())["messages"][-1])


@both_ways
async def test_silent_run_sends_heartbeats_that_are_no_chunks(own_deployment: Deployment) -> None:
    """Comments keep a connection alive before the first token."""
    own_deployment.add_gateway({"server": {"heartbeat_interval_s": 0.2}})
    session = own_deployment.session()
    answer = own_deployment.simulator.held(after=0)

    async with session.sending(answer.question) as response:
        reading = asyncio.create_task(Transcript().read(response))
        await eventually(lambda: response.comments >= 2, "it sends heartbeats")
        await answer.release()
        seen = await reading

    assert seen.types[0] == "start"
    assert seen.done


@both_ways
async def test_reader_that_takes_nothing_is_let_go_after_the_deadline(
    own_deployment: Deployment,
) -> None:
    """A client that vanished does not hold its connection for ever."""
    gateway = add_gateway(own_deployment, 1.0)
    session = own_deployment.session()

    async with pushing(own_deployment, session) as run:
        await say(run, 1)
        async with session.resuming(query="?startIndex=0") as stalled:
            await say(run, MANY)
            await eventually(
                lambda: not is_established(gateway.at.port, stalled.local_port), "it is let go"
            )
            with pytest.raises(ConnectionLost):
                await Transcript().read(stalled)


def is_established(port: int, peer_port: int) -> bool:
    """Return whether the server's end of a loopback connection is still open (Linux)."""
    ends = f"0100007F:{port:04X} 0100007F:{peer_port:04X} 01"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(ends in " ".join(line.split()) for line in lines)
