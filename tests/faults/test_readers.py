"""Promises 6 and 7: a late joiner gets the state; a slow reader delays no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fixtures import both_ways
from tests.support.processes import eventually, resident_bytes
from tests.support.sessions import Session, Transcript, text_of
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.simulator import HeldAnswer

pytestmark = pytest.mark.anyio

MANY = 50_000
SPARE_BYTES = 20 * 2**20


@both_ways
@pytest.mark.timeout(180)
async def test_reader_that_takes_nothing_costs_nobody(own_deployment: Deployment) -> None:
    """It holds no memory and no one up, and gets everything when it reads on."""
    gateway = own_deployment.add_gateway({"server": {"write_deadline_s": 170.0}})
    session = own_deployment.session()
    await session.send("warm up [[tokens=2000 rate=0]]")
    before = resident_bytes(gateway.process.pid)
    run_id = await session.begin(f"[[tokens={MANY} rate=0 first=1s]]")

    slow = Transcript()
    async with session.resuming(query="?startIndex=0") as stalled:
        assert stalled.status == 200
        quick = await session.resume(query="?startIndex=0")
        grown = resident_bytes(gateway.process.pid) - before
        await slow.read(stalled)

    assert quick is not None
    assert quick.done
    assert len(quick.chunks) > MANY
    assert slow == quick
    assert grown < SPARE_BYTES
    assert (await session.snapshot())["runs"][-1]["id"] == run_id


async def test_late_joiner_gets_one_delta_a_part_then_live(deployment: Deployment) -> None:
    """Joining after 10,000 chunks costs the message's size, not its history."""
    session = deployment.session()
    elsewhere = session.through(deployment.gateways[1].at)
    answer = deployment.simulator.held(after=10_050)
    run_id = await session.begin(f"[[tokens=10060 reasoning=50 rate=0 first=0]] {answer.directive}")

    late = await join_after(elsewhere, 10_000, answer)

    whole = await session.whole_run(run_id, "?v=5")
    assert late.text == whole.text == text_of((await session.snapshot())["messages"][-1])
    assert len(late.chunks) < 200
    assert len(whole.chunks) > 10_000
    kinds = Counter(late.types)
    assert kinds["reasoning-delta"] == 1
    assert kinds["text-start"] == kinds["text-end"] == 1
    assert kinds["text-delta"] > 10, "and then live"
    assert late.chunks[0]["messageId"] == whole.chunks[0]["messageId"]


async def join_after(session: Session, sequence: int, answer: HeldAnswer) -> Transcript:
    """Join a run after its first part, let it continue, and follow it to its end."""
    async with asyncio.timeout(30):
        while True:
            seen, is_late = Transcript(), False
            async with session.resuming() as response:
                assert response.status == 200
                async for _ in seen.follow(response):
                    if seen.last_id is None or is_late:
                        continue
                    if seen.last_id < sequence:
                        break
                    is_late = True
                    await answer.release()
                else:
                    return seen


async def test_late_joiners_ids_let_it_go_on_where_it_was(deployment: Deployment) -> None:
    """The aggregated state carries its sequence."""
    session = deployment.session()
    await session.begin("[[tokens=300 rate=200 first=0]]")
    async with session.resuming() as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if len(seen.text) > 100:
                break

    rest = await session.through(deployment.gateways[1].at).resume(after=seen.last_id)

    assert rest is not None
    assert rest.done
    assert seen.text + rest.text == text_of((await session.snapshot())["messages"][-1])


@both_ways
async def test_silent_run_sends_heartbeats_that_are_no_chunks(own_deployment: Deployment) -> None:
    """Comments keep a connection alive before the first token."""
    own_deployment.add_gateway({"server": {"heartbeat_interval_s": 0.2}})
    session = own_deployment.session()

    async with session.sending("[[first=1500ms tokens=3]]") as response:
        seen = await Transcript().read(response)

    assert response.comments >= 2
    assert seen.types[0] == "start"
    assert seen.done


@both_ways
async def test_reader_that_takes_nothing_is_let_go_after_the_deadline(
    own_deployment: Deployment,
) -> None:
    """A client that vanished does not hold its connection for ever."""
    gateway = own_deployment.add_gateway({"server": {"write_deadline_s": 1.0}})
    session = own_deployment.session()
    await session.begin("[[tokens=60000 rate=0 first=0]]")

    async with session.resuming(query="?startIndex=0") as stalled:
        await eventually(session.is_ended, "the run ends", 30)
        await eventually(
            lambda: not is_established(gateway.at.port, stalled.local_port), "it is let go", 20
        )
        with pytest.raises(ConnectionLost):
            await Transcript().read(stalled)


def is_established(port: int, peer_port: int) -> bool:
    """Return whether the server's end of a loopback connection is still open (Linux)."""
    ends = f"0100007F:{port:04X} 0100007F:{peer_port:04X} 01"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(ends in " ".join(line.split()) for line in lines)
