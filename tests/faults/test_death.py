"""Promise 3: every run ends with one terminal, after the death of any process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway import DEFAULT_LEASE, SHORT_LEASE
from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

ORPHAN_LIMIT_S = 45.0
LONG = "[[tokens=5000 rate=60 first=0 reasoning=5]]"


async def follow_raw(session: Session, seen: Transcript) -> Transcript:
    async with session.resuming(query="?startIndex=0") as response:
        assert response.status == 200, await response.body()
        return await seen.read(response)


def assert_closed_orphan(seen: Transcript) -> None:
    """Parts closed, error, finish, [DONE]."""
    assert seen.done
    assert seen.types[-2:] == ["error", "finish"]
    assert seen.types.count("finish") == 1
    for kind in ("text", "reasoning"):
        opened = [c["id"] for c in seen.chunks if c["type"] == f"{kind}-start"]
        closed = [c["id"] for c in seen.chunks if c["type"] == f"{kind}-end"]
        assert opened == closed


async def until(session: Session, length: int) -> None:
    """Wait until a reader sees a run's text reach `length`."""
    seen = Transcript()
    async with session.resuming() as response:
        async for _ in seen.follow(response):
            if len(seen.text) >= length:
                return
    raise AssertionError(f"the run ended with {seen.text!r}")


async def test_readers_of_a_killed_producer_see_its_end(own_deployment: Deployment) -> None:
    """With default settings, at every other gateway."""
    producer, survivor = own_deployment.add_gateways(2, DEFAULT_LEASE)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    transcripts = [Transcript() for _ in range(3)]
    run_id = await session.begin(LONG)
    readers = [asyncio.create_task(follow_raw(elsewhere, seen)) for seen in transcripts]
    await until(elsewhere, 60)

    producer.process.kill()
    async with asyncio.timeout(ORPHAN_LIMIT_S):
        await asyncio.gather(*readers)

    for seen in transcripts:
        assert_closed_orphan(seen)
        assert seen == transcripts[0]
    kept = await elsewhere.snapshot()
    assert [(run["id"], run["outcome"]) for run in kept["runs"]] == [(run_id, "interrupted")]
    assert text_of(kept["messages"][-1]) == transcripts[0].text


async def test_new_run_starts_after_an_orphan_was_closed(own_deployment: Deployment) -> None:
    """A send that meets the orphan closes it, and is answered."""
    producer, survivor = own_deployment.add_gateways(2)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    first = await session.begin(LONG)
    await until(elsewhere, 40)
    producer.process.kill()

    answer = await send_when_free(elsewhere, "next [[tokens=5]]")

    assert answer.chunks[-1]["finishReason"] == "stop"
    kept = await elsewhere.snapshot()
    assert kept["runs"][-1]["id"] != first
    assert [m["role"] for m in kept["messages"]] == ["user", "assistant", "user", "assistant"]


async def send_when_free(session: Session, text: str) -> Transcript:
    """Send as a patient client: again after each 409."""
    async with asyncio.timeout(ORPHAN_LIMIT_S):
        while True:
            async with session.sending(text, message_id="u-patient") as response:
                if response.status == 200:
                    return await Transcript().read(response)
                assert response.status == 409
            await asyncio.sleep(0.1)


async def test_probe_closes_an_orphan_when_every_gateway_died(own_deployment: Deployment) -> None:
    """A gateway that starts later finds the run, and ends it for its readers."""
    producer = own_deployment.add_gateway()
    session = own_deployment.session()
    await session.begin(LONG)
    await until(session, 40)
    producer.process.kill()
    later = session.through(own_deployment.add_gateway().at)

    seen = await later.resume()

    if seen is not None:
        assert_closed_orphan(seen)
    await eventually(later.is_ended, "the orphan is closed", ORPHAN_LIMIT_S)
    assert (await later.snapshot())["runs"][-1]["outcome"] == "interrupted"


async def test_frozen_producer_that_wakes_up_writes_nothing(own_deployment: Deployment) -> None:
    """It was taken over while it was stopped, and is fenced: the log stays unchanged."""
    producer, survivor = own_deployment.add_gateways(2)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    await session.begin(LONG)
    seen = Transcript()
    reader = asyncio.create_task(follow_raw(elsewhere, seen))
    await until(elsewhere, 60)

    producer.process.freeze()
    async with asyncio.timeout(ORPHAN_LIMIT_S):
        await reader
    second = await elsewhere.send("after it [[tokens=5]]")
    before = own_deployment.redis.dump(session.id)
    producer.process.thaw()
    awake = await Session(producer.at).send("awake again? [[tokens=3]]")

    assert_closed_orphan(seen)
    assert second.chunks[-1]["finishReason"] == "stop"
    assert awake.done, "it had time to write, had it wanted to"
    assert own_deployment.redis.dump(session.id) == before


async def test_run_is_no_orphan_because_redis_was_away(own_deployment: Deployment) -> None:
    """An outage longer than every lease ends no run whose producer lives.

    When Redis is back the lease has expired, and the other gateway looks before the producer
    renews: only its patience saves the run.
    """
    own_deployment.add_gateway({"runs": {"renew_interval_s": 1.0}})
    own_deployment.add_gateway({"runs": {"reaper_tick_s": 0.05}})
    session = own_deployment.session()
    outage_s = 2 * float(str(SHORT_LEASE["runs"]["lease_s"]))
    seen = Transcript()

    async with session.sending("[[tokens=600 rate=100 first=0]]") as response:
        async for _ in seen.follow(response):
            if seen.has_just_said(100):
                own_deployment.redis.wait_written()
            if seen.has_just_said(200):
                own_deployment.redis.kill()
                await asyncio.sleep(outage_s)
                own_deployment.redis.start()

    assert seen.types[-1] == "finish"
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert seen.sequences == list(range(len(seen.chunks)))


async def test_answer_of_a_killed_producer_is_in_the_next_requests_history(
    own_deployment: Deployment,
) -> None:
    """The model reads the same part of an interrupted answer as people."""
    producer, survivor = own_deployment.add_gateways(2)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    await session.begin("[[tokens=5000 rate=60 first=0]]")
    await until(elsewhere, 60)
    producer.process.kill()

    echo = await send_when_free(elsewhere, "[[echo]]")

    messages: list[dict[str, Any]] = (await elsewhere.snapshot())["messages"]
    assert text_of(messages[1]).strip()[:40].replace("\n", "\\n") in echo.text
