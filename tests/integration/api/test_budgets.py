"""Bytes stored and tokens used, over three gateways: refused, told, and given back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.limited import Gateways, limits, sent, settings_of, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import redis as redis_py

    from tests.unit.gateway.api.fakes import Answer

pytestmark = pytest.mark.anyio

ANN, BOB = "203.0.113.7", "203.0.113.8"


@pytest.fixture
async def three(
    redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Gateways]:
    """Gateways with the limits of the test."""
    async with Gateways(settings_of(redis_url, tmp_path, request.param)) as gateways:
        yield gateways


async def flood(three: Gateways, count: int, text: str) -> list[Answer]:
    """Send to so many new chats at once; return the refusals."""
    sends = (
        three.ask(ANN, "POST", "/api/chat", sent(f"flood-{each}", text)) for each in range(count)
    )
    answers = await asyncio.gather(*sends)
    assert {answer.status for answer in answers} == {200, 429}
    return [answer for answer in answers if answer.status == 429]


async def until_settled(three: Gateways, raw_redis: redis_py.Redis) -> None:
    """Wait until nothing runs, and what has ended is counted."""
    while raw_redis.exists(*(f"ms:limit:{{address:{ANN}}}:{name}" for name in ("bytes", "tokens"))):
        for gateway in three.all:
            gateway.gateway._current.get().limits._holds._changed.set()
        await asyncio.sleep(0.01)


def used_today(raw_redis: redis_py.Redis) -> int:
    """Return how many tokens Ann has used."""
    kept = raw_redis.get(f"ms:limit:{{address:{ANN}}}:used")
    assert isinstance(kept, bytes)
    return int(kept.split()[1])


@pytest.mark.parametrize("three", [limits(stored_bytes=50_000)], indirect=True)
async def test_stored_bytes_are_limited_and_given_back_when_a_chat_is_deleted(
    three: Gateways, raw_redis: redis_py.Redis
) -> None:
    """Of 20 sends of 10 KB each at most one more than the limit; deleting makes room."""
    refused = await flood(three, 20, "x" * 10_000)
    assert len(refused) in (14, 15)
    error = told(refused[0])
    assert (error["code"], error["limit"]) == ("rate_limited", "stored_bytes")
    assert error["message"] == (
        "unable to take this now; 50 KB of stored conversations are the limit here: "
        "delete a conversation that you do not need, then send again"
    )
    assert (await three.send(BOB, "other")).status == 200

    three.agent.may_end.set()
    await until_settled(three, raw_redis)
    assert (await three.send(ANN, "c1")).status == 429
    for each in range(20):
        await three.ask(ANN, "DELETE", f"/api/chat/flood-{each}")
    assert (await three.send(ANN, "c1")).status == 200


@pytest.mark.parametrize("three", [limits(stored_bytes=30_000)], indirect=True)
async def test_answer_and_its_chunks_count_until_its_messages_are_deleted(
    three: Gateways, raw_redis: redis_py.Redis
) -> None:
    """The send is small; deleted messages leave their ids alone."""
    three.agent.text = "x" * 30_000
    three.agent.may_end.set()
    assert (await three.send(ANN, "c1")).status == 200
    await until_settled(three, raw_redis)
    assert (await three.send(ANN, "c2")).status == 429
    assert (await three.ask(ANN, "DELETE", "/api/chat/c1/messages")).status == 204
    assert (await three.send(ANN, "c2")).status == 200


@pytest.mark.parametrize("three", [limits(tokens_per_day=20_000)], indirect=True)
async def test_tokens_are_reserved_by_runs_and_settled_by_what_they_used(
    three: Gateways, raw_redis: redis_py.Redis
) -> None:
    """Each is thought to use 4,096: a fifth is one more than the limit."""
    three.agent.metadata = {"usage": {"inputTokens": 9_000, "outputTokens": 1_000}}
    refused = await flood(three, 20, "Hi")
    assert len(refused) in (14, 15)
    error = told(refused[0])
    assert (error["code"], error["limit"]) == ("rate_limited", "tokens_per_day")
    assert error["message"] == (
        "unable to take this now; 20,000 tokens a day are the limit here: "
        "send again when an answer that is being written has ended"
    )

    three.agent.may_end.set()
    await until_settled(three, raw_redis)
    assert used_today(raw_redis) == (20 - len(refused)) * 10_000
    spent = await three.send(ANN, "c1")
    error = told(spent)
    assert (spent.status, error["limit"]) == (429, "tokens_per_day")
    assert spent.headers["retry-after"] == str(-(-error["resetMs"] // 1000))
    assert "20,000 tokens a day are the limit here: try again in" in error["message"]
    assert (await three.send(BOB, "other")).status == 200


@pytest.mark.parametrize("three", [limits(tokens_per_day=1_000)], indirect=True)
async def test_stopped_answer_uses_tokens_by_its_length(
    three: Gateways, raw_redis: redis_py.Redis
) -> None:
    """Its provider's count comes with an end that it never had."""
    three.agent.text = "x" * 4_000
    assert (await three.send(ANN, "c1")).status == 200
    assert (await three.ask(ANN, "POST", "/api/chat/c1/stop", {})).status == 200
    await until_settled(three, raw_redis)
    assert 1_000 <= used_today(raw_redis) < 1_200
    assert (await three.send(ANN, "c2")).status == 429
