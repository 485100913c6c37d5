"""Limits of callers over three gateways: the refused ones, their errors, and the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from midstream.errors import GatewayError
from midstream.ids import SessionId
from midstream.sessions.access import Caller
from midstream.sessions.types import RunCost
from midstream.telemetry import LIMITS_UNCHECKED
from tests.support.in_process import code_of
from tests.support.limited import Gateways, limits, sent, settings_of, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import redis as redis_py

    from midstream.limits.limiter import Grant, Limiter

pytestmark = pytest.mark.anyio

CALLER = Caller(address="203.0.113.7")


@pytest.fixture
async def three(
    redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Gateways]:
    """Gateways with the limits of the test."""
    async with Gateways(settings_of(redis_url, tmp_path, request.param)) as gateways:
        yield gateways


@pytest.mark.parametrize("three", [limits(sends_per_minute=1, send_burst=40)], indirect=True)
async def test_flood_of_one_caller_is_refused_and_another_is_answered(three: Gateways) -> None:
    """Of 400 sends over three gateways at most one more than the limit; the rest read when."""
    three.agent.may_end.set()
    async with asyncio.TaskGroup() as tasks:
        flood = [
            tasks.create_task(three.send("203.0.113.7", f"flood-{each}")) for each in range(400)
        ]
        other = tasks.create_task(three.send("203.0.113.8", "other"))
    answers = [task.result() for task in flood]
    accepted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(accepted) in (40, 41)
    assert len(accepted) + len(refused) == 400
    assert other.result().status == 200

    error = told(refused[0])
    assert {name: error[name] for name in ("code", "temporary", "limit")} == {
        "code": "rate_limited",
        "temporary": True,
        "limit": "sends_per_minute",
    }
    assert 0 < error["resetMs"] <= 60_000
    assert refused[0].headers["retry-after"] == str(-(-error["resetMs"] // 1000))
    assert error["message"].startswith("unable to take this now; 1 messages a minute are the limit")


@pytest.mark.parametrize("three", [limits(open_runs=2)], indirect=True)
async def test_open_runs_are_counted_until_they_end(three: Gateways) -> None:
    """By every door. Readers do not count: one that leaves frees no place."""
    ann = "203.0.113.7"
    assert [(await three.send(ann, f"c{each}")).status for each in range(3)] == [200, 200, 429]
    claim = {"id": "c5", "key": "job", "text": "Hi"}
    assert (await three.ask(ann, "POST", "/api/agent/runs", claim)).status == 429
    frame = {"type": "send", "requestId": "r", "headers": {}, "body": {}, **sent("c4")}
    gateway = three.all[0]
    by_socket = await gateway.frames("/api/chat", frame, {"x-forwarded-for": ann})
    assert code_of(by_socket.body) == "rate_limited", by_socket.body
    assert (await three.send("203.0.113.8", "other")).status == 200

    three.agent.may_end.set()
    while (again := await three.send(ann, "c3")).status == 429:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert again.status == 200


@pytest.mark.parametrize(
    "three", [limits(open_runs=1, sends_per_minute=1, send_burst=1)], indirect=True
)
async def test_send_that_is_repeated_is_answered_with_its_run(three: Gateways) -> None:
    """Through each gateway, even at the limit: one send, one run."""
    first, *others = [await three.send("203.0.113.7", "c1", requestId="the-send") for _ in range(4)]
    assert first.status == 200
    runs = {each.headers.get("x-midstream-run-id") for each in (first, *others)}
    assert len(runs) == 1
    assert (await three.send("203.0.113.7", "c2", requestId="another")).status == 429


@pytest.mark.parametrize("three", [limits(open_streams=2)], indirect=True)
async def test_open_streams_are_counted_until_they_are_left(three: Gateways) -> None:
    """Feeds, responses and sockets; a refusal of a socket is its close."""
    headers = {"x-forwarded-for": "203.0.113.7"}
    feeds = [three.all[each].follow("/api/chat/c1/events", headers) for each in range(2)]
    for feed in feeds:
        await anext(feed)
    assert (await three.ask("203.0.113.7", "GET", "/api/chat?follow=c1@")).status == 429
    assert (await three.ask("203.0.113.7", "GET", "/api/chat/c1/stream")).status == 429
    assert told(await three.send("203.0.113.7", "c1"))["limit"] == "open_streams"
    refused = await three.all[2].frames("/api/chat", {}, headers)
    assert code_of(refused.body) == "rate_limited"
    await feeds[0].aclose()  # type: ignore[attr-defined]
    while (await three.ask("203.0.113.7", "GET", "/api/chat/c1/stream")).status == 429:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await feeds[1].aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("three", "statuses"),
    [
        # A third of four is two, of each gateway.
        (limits(open_streams=4, redis_wait_ms=50), {200: 2, 429: 4}),
        (limits(open_streams=4, redis_wait_ms=50, strict=True), {503: 6}),
    ],
    indirect=["three"],
)
async def test_gateway_that_cannot_ask_redis_allows_its_share_or_refuses(
    three: Gateways, statuses: dict[int, int], raw_redis: redis_py.Redis
) -> None:
    """With a Redis that is frozen: each request is counted as unchecked."""
    last = three.all[-1].gateway._current.get().limits
    # It was opened last, and knows of the others.
    while last._holds.gateways < 3:  # noqa: ASYNC110 - Redis tells it
        await asyncio.sleep(0.01)
    unchecked = LIMITS_UNCHECKED._value.get()
    raw_redis.client_pause(20_000, all=False)
    try:
        seen: dict[int, int] = {}
        async with AsyncExitStack() as held:
            for _ in range(6):
                status = await _read(last, held)
                seen[status] = seen.get(status, 0) + 1
    finally:
        raw_redis.client_unpause()
    assert seen == statuses
    assert LIMITS_UNCHECKED._value.get() - unchecked == 6


@pytest.mark.parametrize(
    ("three", "status"),
    [
        (limits(tokens_per_day=1, stored_bytes=1, redis_wait_ms=50), 200),
        (limits(tokens_per_day=1, stored_bytes=1, redis_wait_ms=50, strict=True), 503),
    ],
    indirect=["three"],
)
async def test_bytes_and_tokens_that_are_not_known_refuse_nothing_unless_strict(
    three: Gateways, status: int, raw_redis: redis_py.Redis
) -> None:
    """With a Redis that is frozen; by HTTP, where the send needs no more of it."""
    unchecked = LIMITS_UNCHECKED._value.get()
    raw_redis.client_pause(20_000, all=False)
    try:
        async with AsyncExitStack() as held:
            limiter = three.all[0].gateway._current.get().limits
            assert [await _send(limiter, held) for _ in range(3)] == [status] * 3
        if status == 503:
            refused = await three.send("203.0.113.7", "c1")
            assert (refused.status, code_of(refused.body)) == (503, "store_unavailable")
    finally:
        raw_redis.client_unpause()
    assert LIMITS_UNCHECKED._value.get() - unchecked == (3 if status == 200 else 4)


async def _send(limiter: Limiter, held: AsyncExitStack) -> int:
    """Take the limits of a send; return the status of the answer."""
    sending = limiter.sending(
        CALLER, SessionId("c"), None, streams=False, cost=RunCost(10_000, 10_000)
    )
    return await _status(held, sending)


async def _read(limiter: Limiter, held: AsyncExitStack) -> int:
    """Take a place for a stream; return the status of the answer."""
    return await _status(held, limiter.reading(CALLER))


async def _status(held: AsyncExitStack, taking: AbstractAsyncContextManager[Grant]) -> int:
    try:
        await held.enter_async_context(taking)
    except GatewayError as error:
        return error.http_status
    return 200
