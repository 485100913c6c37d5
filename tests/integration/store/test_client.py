"""Round trips under failure: time limits, cancelled calls, a Redis that forgets or is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.errors import SettingsError, StoreError, StoreUnavailableError
from midstream.ids import SessionId
from midstream.store.calls import AppendStatus
from midstream.store.redis import client as client_module
from midstream.store.redis.client import MAX_CONNECTIONS, RedisClient
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import StoreSettings

from .scenario import SESSION, batch, opened, submit, wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import redis as redis_py
    from redis.asyncio.connection import AbstractConnection


pytestmark = pytest.mark.anyio

PAUSE_MS = 20_000
"""Scripts wait so long, unless the pause is ended; other commands do not."""


async def test_scripts_are_loaded_when_redis_has_forgotten_them(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """A restarted Redis knows no scripts; callers do not notice, nothing is done twice."""
    sessions = [SessionId(f"chat-{i}") for i in range(3)]
    for session in sessions:
        await opened(store, submit(session=session))
    raw_redis.script_flush()
    answers = await store.append([batch(0, session=session) for session in sessions])

    assert [(a.status, a.next) for a in answers] == [(AppendStatus.APPENDED, 1)] * 3


async def test_call_that_takes_too_long_is_unavailable(
    redis_url: str, raw_redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that does not answer in time is away; the next answer is the next call's."""
    async with RedisStore.connect(redis_url) as store:
        await store.ping()
        raw_redis.client_pause(PAUSE_MS, all=False)
        try:
            # For this call alone: a busy machine may take longer for an answer.
            with monkeypatch.context() as impatient, pytest.raises(StoreUnavailableError):
                impatient.setattr(store._client, "_timeout_s", 0.1)
                await store.open_run(submit())
            assert store.healthy_since is None
        finally:
            raw_redis.client_unpause()
        await store.ping()
        assert store.healthy_since is not None
        await store.open_run(submit())
        meta = await store.load_meta(SESSION)
        assert meta is not None
        assert meta.id == SESSION


async def test_network_that_forgot_its_connections_costs_one_wait(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old connections say nothing about a Redis that has answered a later call.

    Their unanswered calls end, and no call is sent on the other old ones.
    """
    client = RedisClient(redis_url, StoreSettings())
    forgotten: list[object] = []
    monkeypatch.setattr(client_module, "_reply", _answering_all_but(forgotten))

    async def call(*command: str | int) -> object:
        return await client.run(command)

    try:
        await asyncio.gather(*(call("PING") for _ in range(4)))
        forgotten += [_socket_of(connection) for connection in client._idle]
        assert len(forgotten) == 4
        monkeypatch.setattr(client, "_timeout_s", 0.1)
        first = asyncio.create_task(call("PING"))
        await asyncio.sleep(0)
        monkeypatch.setattr(client, "_timeout_s", 2.0)
        second = asyncio.create_task(call("PING"))
        with pytest.raises(StoreUnavailableError):
            await first
        assert client.healthy_since is None
        assert await call("ECHO", "there") == b"there"
        healthy_since = client.healthy_since
        with pytest.raises(StoreUnavailableError):
            await second
        assert client.healthy_since == healthy_since
    finally:
        await client.aclose()


def _socket_of(connection: AbstractConnection) -> object:
    return connection._writer


def _answering_all_but(
    forgotten: list[object],
) -> Callable[[AbstractConnection], Awaitable[object]]:
    reply = client_module._reply

    async def answer(connection: AbstractConnection) -> object:
        if _socket_of(connection) in forgotten:
            await asyncio.Event().wait()
        return await reply(connection)

    return answer


async def test_cancelled_calls_leave_no_reply_to_others(redis_url: str) -> None:
    """Whenever a call is cancelled, later calls on the same pool get their own replies."""
    client = RedisClient(redis_url, StoreSettings())

    async def echo(number: int) -> None:
        replies = await client.run_all([("ECHO", f"{number}-{i}") for i in range(20)])
        assert replies == [f"{number}-{i}".encode() for i in range(20)]

    try:
        for round_ in range(60):
            tasks = [asyncio.create_task(echo(100 * round_ + i)) for i in range(8)]
            for _ in range(round_ % 12):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(error is None for error in ended[1::2])
            assert all(
                error is None or isinstance(error, asyncio.CancelledError) for error in ended
            )
    finally:
        await client.aclose()


async def test_cancelled_calls_leave_no_connection_taken(redis_url: str) -> None:
    """A pool that lost a connection by each cancelled call would run dry."""
    client = RedisClient(redis_url, StoreSettings())
    try:
        for round_ in range(3 * MAX_CONNECTIONS):
            task = asyncio.create_task(client.run(("PING",)))
            for _ in range(round_ % 9):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        pings = [client.run(("PING",)) for _ in range(2 * MAX_CONNECTIONS)]
        assert await asyncio.gather(*pings) == [b"PONG"] * 2 * MAX_CONNECTIONS
    finally:
        await client.aclose()


async def test_connection_lent_out_at_the_end_is_closed_when_it_comes_back(
    redis_url: str, raw_redis: redis_py.Redis
) -> None:
    """It would stay among the idle ones for ever."""
    client = RedisClient(redis_url, StoreSettings())
    waiting = asyncio.create_task(client.run(("BLPOP", "queue", "0")))

    def blocked() -> list[str]:
        return [each["id"] for each in raw_redis.client_list() if each["cmd"] == "blpop"]

    await wait_until(lambda: bool(blocked()))
    (lent,) = blocked()
    await client.aclose()
    raw_redis.rpush("queue", "word")
    assert await waiting == [b"queue", b"word"]
    await wait_until(lambda: lent not in [each["id"] for each in raw_redis.client_list()])


async def test_lost_connections_are_unavailable_then_made_again(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """The call that lost its connection says so, and is not sent again by itself."""
    await opened(store)
    await store.ping()
    raw_redis.client_pause(PAUSE_MS, all=False)
    append = asyncio.create_task(store.append([batch(0)]))
    await wait_until(lambda: any(client["cmd"] == "evalsha" for client in raw_redis.client_list()))
    raw_redis.client_kill_filter(skipme=True, _type="normal")
    with pytest.raises(StoreUnavailableError):
        await append
    raw_redis.client_unpause()
    (again,) = await store.append([batch(0)])
    assert again.next == 1


async def test_store_opens_while_redis_is_away(tmp_path: Path) -> None:
    """A gateway may start first; it is not healthy until Redis answers."""
    async with RedisStore.connect(f"unix://{tmp_path}/none.sock") as store:
        assert store.healthy_since is None
        with pytest.raises(StoreUnavailableError):
            await store.ping()
        assert store.healthy_since is None


async def test_health_lasts_while_commands_succeed(store: RedisStore) -> None:
    """`healthy_since` is the first success, not the last."""
    await store.ping()
    first = store.healthy_since
    await store.ping()

    assert first is not None
    assert store.healthy_since == first


async def test_command_that_redis_refuses_is_a_store_error(
    store: RedisStore, raw_redis: redis_py.Redis
) -> None:
    """A key of another type is our bug, not an outage; the sentence tells no internals."""
    raw_redis.set(f"ms:{{{SESSION}}}:meta", "text", ex=100)
    with pytest.raises(StoreError) as raised:
        await store.load_meta(SESSION)
    assert not isinstance(raised.value, StoreUnavailableError)
    assert "WRONGTYPE" not in raised.value.message


async def test_url_that_is_none_is_a_wrong_setting() -> None:
    """The error tells how a right one begins."""
    with pytest.raises(SettingsError, match="redis://"):
        async with RedisStore.connect("localhost:6379"):
            pass
