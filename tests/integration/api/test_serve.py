"""The parent and its workers: what survives whose death, and how it all ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.processes import children, command_of, is_alive, wait_until
from tests.support.sessions import Session, Transcript
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.api.conftest import Served

pytestmark = [pytest.mark.anyio, pytest.mark.real_command]

SHORT_ANSWER = "[[tokens=20 rate=0 first=0]] hello"
LONG_ANSWER = "[[tokens=100 rate=40 first=0]] hello"
ENDLESS_ANSWER = "[[tokens=100000 rate=20 first=0]] hello"


def workers_of(served: Served) -> list[int]:
    return [
        pid for pid in children(served.process.pid) if "midstream.process.worker" in command_of(pid)
    ]


def redis_servers_of(served: Served) -> list[int]:
    workers = workers_of(served)  # a path of theirs may name it, too
    found = (pid for pid in children(served.process.pid) if pid not in workers)
    return [pid for pid in found if "redis" in command_of(pid)]


def redis_of(served: Served) -> int:
    [pid] = redis_servers_of(served)
    return pid


async def until_answered(served: Served) -> None:
    """Send until a message gets its answer; until then it is refused as what will pass."""
    async with asyncio.timeout(30):
        while True:
            transcript = Transcript()
            async with Session(served.at).sending(SHORT_ANSWER) as response:
                if response.status == 200:
                    assert (await transcript.read(response)).done
                    return
                assert (await response.json())["error"]["temporary"]
            await asyncio.sleep(0.05)


async def test_gateway_without_any_settings_answers(start: Callable[..., Served]) -> None:
    """No key, no Redis, no file: a message is answered and kept."""
    session = Session(start().wait_serving().at)
    transcript = await session.send(SHORT_ANSWER)
    assert transcript.done
    assert transcript.types[-1] == "finish"
    status, snapshot = await session.at.call("GET", f"/api/chat/{session.id}")
    assert status == 200
    assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]


async def test_killed_worker_is_replaced(start: Callable[..., Served]) -> None:
    """The address stays bound and Redis up; another worker serves, with the same sessions."""
    served = start().wait_serving()
    session = Session(served.at)
    await session.send(SHORT_ANSWER)
    [worker], redis = workers_of(served), redis_of(served)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: workers_of(served) not in ([], [worker]), "another worker", 30)
    await until_answered(served)
    assert redis_of(served) == redis
    status, snapshot = await served.at.call("GET", f"/api/chat/{session.id}")
    assert (status, len(snapshot["messages"])) == (200, 2)


async def test_killed_redis_is_started_again_with_all_it_had(
    start: Callable[..., Served],
) -> None:
    """Its file has every acknowledged write."""
    served = start(MIDSTREAM_REDIS_APPENDFSYNC="always").wait_serving()
    session = Session(served.at)
    await session.send(SHORT_ANSWER)
    redis = redis_of(served)
    os.kill(redis, signal.SIGKILL)
    wait_until(lambda: redis_servers_of(served) not in ([], [redis]), "another Redis", 30)
    await until_answered(served)
    _, snapshot = await served.at.call("GET", f"/api/chat/{session.id}")
    assert len(snapshot["messages"]) == 2


async def test_nothing_outlives_a_killed_parent(start: Callable[..., Served]) -> None:
    """Neither a worker without an address, nor a Redis without an owner."""
    served = start("--workers", "2").wait_serving()
    wait_until(lambda: len(workers_of(served)) == 2, "two workers")
    family = [*workers_of(served), redis_of(served)]
    os.kill(served.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in family), "they are gone")


async def test_shutdown_lets_a_run_finish_and_its_reader_read_it(
    start: Callable[..., Served],
) -> None:
    """The first SIGTERM ends nothing that is under way."""
    served = start().wait_serving()
    family = [*workers_of(served), redis_of(served)]
    transcript = Transcript()
    async with Session(served.at).sending(LONG_ANSWER) as response:
        async for _ in transcript.follow(response):
            if transcript.has_just_said(30):
                served.process.send_signal(signal.SIGTERM)
    assert transcript.done
    assert transcript.types[-1] == "finish"
    assert served.process.wait_exit() == 0
    assert not any(is_alive(pid) for pid in family)


async def test_shutdown_closes_what_does_not_finish_in_time(start: Callable[..., Served]) -> None:
    """A run over the limit ends with an error that says so, and `finish`, before the end."""
    served = start(MIDSTREAM_SERVER_DRAIN_LIMIT_S="0.2").wait_serving()
    transcript = Transcript()
    async with Session(served.at).sending(ENDLESS_ANSWER) as response:
        async for _ in transcript.follow(response):
            if transcript.has_just_said(30):
                served.process.send_signal(signal.SIGTERM)
    assert transcript.types[-2:] == ["error", "finish"]
    assert transcript.done
    assert served.process.wait_exit() == 0


async def test_second_signal_ends_at_once(start: Callable[..., Served]) -> None:
    """A person who presses Ctrl-C again does not want to wait."""
    served = start().wait_serving()
    family = [*workers_of(served), redis_of(served)]
    async with Session(served.at).sending(ENDLESS_ANSWER) as response:
        received = response.pieces()
        await anext(received)
        served.process.send_signal(signal.SIGINT)
        wait_until(lambda: "shutdown_begins" in served.output(), "the first signal is heard")
        served.process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionLost):
            async for _ in received:
                pass
    served.process.wait_exit()
    wait_until(lambda: not any(is_alive(pid) for pid in family), "they are gone")


async def test_address_in_use_ends_with_two_and_a_sentence(start: Callable[..., Served]) -> None:
    """Before Redis or a worker is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        served = start("--port", str(taken.getsockname()[1]))
        assert served.process.wait_exit() == 2
    assert "unable to listen on 127.0.0.1" in served.output()
    assert "Traceback" not in served.output()
    assert not served.data.exists()


async def test_redis_that_is_away_ends_with_three_and_a_sentence(
    start: Callable[..., Served],
) -> None:
    """Its password is not in the sentence."""
    served = start("--redis-url", "redis://:hunter2@127.0.0.1:1/0")
    assert served.process.wait_exit() == 3
    assert "unable to reach Redis at redis://:***@127.0.0.1:1" in served.output()
    assert "hunter2" not in served.output()
    assert "Traceback" not in served.output()


async def test_agent_that_cannot_be_made_ends_with_two(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    """A worker's refusal of a setting ends the gateway, once, with the sentence."""
    config = tmp_path / "agents.toml"
    config.write_text('[agents.mine]\npython = "no.such:thing"\n')
    served = start("--config", str(config))
    assert served.process.wait_exit() == 2
    assert served.output().count("no.such:thing") == 1
    assert "Traceback" not in served.output()


async def test_tokens_and_keys_are_in_no_log(start: Callable[..., Served]) -> None:
    """At the most talkative level, with a token in the address, as a browser must send it."""
    secret = "a-secret-of-thirty-two-bytes-or-more"  # noqa: S105
    served = start(
        MIDSTREAM_SERVER_LOG_LEVEL="debug",
        MIDSTREAM_AUTH_MODE="jwt",
        MIDSTREAM_AUTH_SECRET=secret,
        ANTHROPIC_API_KEY="sk-secret-key",
    ).wait_serving()
    status, answer = await served.at.call("GET", "/api/chat/c1/stream?token=aaaa.bbbb.cccc")
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    with pytest.raises(ConnectionClosed):
        async with connect(
            f"{served.at.url}/api/chat?token=dddd.eeee.ffff".replace("http", "ws")
        ) as socket:
            await socket.recv()
    for hidden in (secret, "sk-secret-key", "bbbb", "eeee"):
        assert hidden not in served.output()
