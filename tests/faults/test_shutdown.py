"""Shutdown and processes: drained by one SIGTERM, ended by two, and no Redis left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import GatewayProcess
from tests.support.processes import command_of, descendants, is_alive, wait_until
from tests.support.sessions import Session, Transcript, text_of
from tests.support.websocket import open_socket
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio


async def test_sigterm_lets_a_run_finish(own_deployment: Deployment) -> None:
    """Within the drain limit a run continues to its own end, which is in the log."""
    leaving, staying = own_deployment.add_gateways(2)
    session = own_deployment.session()
    await session.begin("[[tokens=100 rate=60 first=0]]")

    leaving.terminate()
    elsewhere = session.through(staying.at)
    seen = await elsewhere.resume()

    assert leaving.process.wait_exit() == 0
    assert seen is None or seen.chunks[-1]["finishReason"] == "stop"
    kept = await elsewhere.snapshot()
    assert kept["runs"][-1]["outcome"] == "finished"


async def test_sigterm_closes_a_run_past_the_drain_limit(own_deployment: Deployment) -> None:
    """It ends as in promise 3, at once, not after a lease."""
    leaving = own_deployment.add_gateway({"server": {"drain_limit_s": 0.5}})
    staying = own_deployment.add_gateway()
    session = own_deployment.session()
    await session.begin("[[tokens=9000 rate=60 first=0]]")
    elsewhere = session.through(staying.at)
    seen = Transcript()

    async with elsewhere.resuming() as response:
        async for _ in seen.follow(response):
            if seen.has_just_said(30):
                leaving.terminate()

    assert leaving.process.wait_exit() == 0
    assert seen.types[-3:] == ["text-end", "error", "finish"]
    assert (await elsewhere.snapshot())["runs"][-1]["outcome"] == "interrupted"


async def test_readers_of_a_gateway_that_leaves_go_on_elsewhere(
    own_deployment: Deployment,
) -> None:
    """Their response breaks off, without a clean end, and continues at another gateway."""
    producing, leaving = own_deployment.add_gateways(2)
    session = Session(producing.at)
    answer = own_deployment.simulator.held()
    await session.begin(answer.question, message_id="u-two")
    seen = Transcript()

    with pytest.raises(ConnectionLost):
        # The same message again: a reader of the same run, from its first chunk.
        again = session.through(leaving.at).sending(answer.question, message_id="u-two")
        async with again as response:
            async for _ in seen.follow(response):
                if seen.has_just_said(60):
                    leaving.terminate()
    rest = Transcript()
    async with session.resuming(after=seen.last_id) as response:
        await answer.release()
        await rest.read(response)

    assert leaving.process.wait_exit() == 0
    assert [*seen.sequences, *rest.sequences] == list(range(len(seen.chunks) + len(rest.chunks)))
    assert seen.text + rest.text == text_of((await session.snapshot())["messages"][-1])


async def test_sockets_of_a_gateway_that_leaves_are_told_to_reconnect(
    own_deployment: Deployment,
) -> None:
    """Close codes 4000-4499 mean: come again. So does 1012, the server's own."""
    leaving = own_deployment.add_gateway()

    async with open_socket(leaving.at) as socket:
        leaving.terminate()
        code = await socket.wait_closed()

    assert code is not None
    assert code == 1012 or 4000 <= code <= 4499
    assert leaving.process.wait_exit() == 0


async def test_gateway_that_drains_takes_no_new_run(own_deployment: Deployment) -> None:
    """It answers 503 `draining`, or does not answer, and is not ready."""
    leaving = own_deployment.add_gateway()
    session = own_deployment.session()
    await session.begin("[[tokens=60 rate=40 first=0]]")

    leaving.terminate()
    wait_until(lambda: not leaving.is_ready(), "no longer ready")
    try:
        status, answer = await leaving.at.call("POST", "/api/chat", Session(leaving.at).body("x"))
    except ConnectionLost:
        status, answer = 503, {"error": {"code": "draining"}}

    assert (status, answer["error"]["code"]) == (503, "draining")


async def test_second_sigterm_ends_at_once(own_deployment: Deployment) -> None:
    """The drain limit is not awaited."""
    leaving = own_deployment.add_gateway({"server": {"drain_limit_s": 3000.0}})
    session = own_deployment.session()
    await session.begin("[[tokens=90000 rate=60 first=0]]")

    leaving.terminate()
    wait_until(lambda: not leaving.is_ready(), "no longer ready")
    leaving.terminate()

    leaving.process.wait_exit()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_embedded_redis_is_gone_with_its_gateway(
    number: signal.Signals, simulator: Simulator, tmp_path: Path
) -> None:
    """After any end of the gateway no process is left, and its data is there again."""
    first = GatewayProcess(tmp_path / "embedded", None, simulator.url)
    session = Session(first.at)
    await session.send("remember me [[tokens=3]]")
    kept = (await session.snapshot())["messages"]
    family = descendants(first.process.pid)
    assert any("redis" in command_of(pid) or "valkey" in command_of(pid) for pid in family)

    first.process.send_signal(number)
    first.process.wait_exit()
    wait_until(lambda: not any(map(is_alive, family)), "every child is gone")

    second = GatewayProcess(tmp_path / "embedded", None, simulator.url)
    try:
        assert (await session.through(second.at).snapshot())["messages"] == kept
    finally:
        second.end()


async def test_two_gateways_on_one_folder_are_refused(simulator: Simulator, tmp_path: Path) -> None:
    """The second ends with a sentence; the first does not notice."""
    first = GatewayProcess(tmp_path / "shared", None, simulator.url)
    session = Session(first.at)
    try:
        with pytest.raises(AssertionError) as refused:
            GatewayProcess(tmp_path / "shared", None, simulator.url)
        assert "Traceback" not in str(refused.value)
        assert (await session.send("[[tokens=3]]")).done
    finally:
        first.end()


async def test_gateway_says_in_a_sentence_that_redis_is_away(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Redis down at start: a clear message and an exit code."""
    with pytest.raises(AssertionError) as refused:
        GatewayProcess(tmp_path / "alone", "redis://127.0.0.1:1/0", simulator.url)

    said = str(refused.value)
    assert "127.0.0.1:1" in said
    assert "Traceback" not in said


async def test_workers_behave_as_one(own_deployment: Deployment) -> None:
    """Sends, resumes and stops meet whichever worker, and one worker's death is survived."""
    gateway = own_deployment.add_gateway(arguments=["--workers", "2"])
    sessions = [Session(gateway.at) for _ in range(8)]

    for session in sessions:
        await session.begin("[[tokens=3000 rate=50 first=0]]")
    resumed = [asyncio.create_task(session.resume()) for session in sessions]
    stopped = await asyncio.gather(*(session.stop() for session in sessions))
    seen = await asyncio.gather(*resumed)

    assert [len(runs) for runs in stopped] == [1] * len(sessions)
    assert [
        s.types[-2:] for s in seen if s is not None and s.types[-2:] != ["abort", "finish"]
    ] == []


async def test_worker_that_is_killed_is_replaced_and_its_runs_are_closed(
    own_deployment: Deployment,
) -> None:
    """Its readers come back to its sibling and see the end."""
    gateway = own_deployment.add_gateway(arguments=["--workers", "2"])
    session = Session(gateway.at)
    async with session.sending("[[tokens=9000 rate=50 first=0]]") as response:
        seen = Transcript()
        with pytest.raises(ConnectionLost):
            async for _ in seen.follow(response):
                if seen.has_just_said(60):
                    kill_workers(gateway)

    async with asyncio.timeout(45):
        rest = await resume_until_answered(session, seen.last_id)

    assert rest.types[-3:] == ["text-end", "error", "finish"]
    assert [*seen.sequences, *rest.sequences] == list(range(len(seen.chunks) + len(rest.chunks)))


async def resume_until_answered(session: Session, after: int | None) -> Transcript:
    """Resume as a patient client: again while the port has no listener."""
    while True:
        try:
            rest = await session.resume(after=after)
            assert rest is not None
            return rest
        except ConnectionLost:
            await asyncio.sleep(0.1)


def kill_workers(gateway: GatewayProcess) -> None:
    """Kill every worker of the parent, and nothing else."""
    for pid in descendants(gateway.process.pid):
        if "midstream.process.worker" in command_of(pid):
            os.kill(pid, signal.SIGKILL)
