"""Promises 1 and 10: everything that a client sees is in the log, and an outage loses nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.support.fixtures import both_ways
from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio


async def read_while_it_flows(reader: asyncio.Task[Transcript], seen: Transcript) -> int:
    """Wait until nothing more has come for a second; return how many chunks there are."""
    count = -1
    while count != len(seen.chunks):
        count = len(seen.chunks)
        done, _ = await asyncio.wait([reader], timeout=1.0)
        assert not done, "the run ended before the log could be taken away"
    return count


@both_ways
@pytest.mark.parametrize("way", ["SIGSTOP", "CLIENT PAUSE"])
async def test_chunk_reaches_no_client_before_redis_has_it(
    way: str, own_deployment: Deployment
) -> None:
    """With Redis silent, clients see nothing new; when it answers again, everything."""
    own_deployment.add_gateways(2)
    session = own_deployment.session()
    redis = own_deployment.redis
    seen = Transcript()
    answer = own_deployment.simulator.held(after=290)

    text = f"[[tokens=300 rate=100 first=0]] {answer.directive}"
    async with session.sending(text) as response:
        reader = asyncio.create_task(seen.read(response))
        await eventually(lambda: len(seen.text) >= 60, "chunks arrive")
        if way == "SIGSTOP":
            redis.freeze()
        else:
            redis.pause_writes(60_000)

        visible = await read_while_it_flows(reader, seen)
        if way == "SIGSTOP":
            redis.thaw()
        logged = redis.log_payload(session.id)
        held_back = seen.chunks[:visible]
        if way == "CLIENT PAUSE":
            redis.resume_writes()
        await answer.release()
        whole = await reader

    said = [msgspec.json.encode(c["delta"]) for c in held_back if c["type"] == "text-delta"]
    assert said
    assert all(text in logged for text in said)
    assert len(whole.chunks) > visible
    assert whole.sequences == list(range(len(whole.chunks)))
    assert whole.types[-1] == "finish"
    assert whole.text == text_of((await session.snapshot())["messages"][-1])


async def test_run_completes_over_a_redis_that_is_killed_and_restarted(
    own_deployment: Deployment,
) -> None:
    """Redis, on its own file again, has the run, and no reader saw a break."""
    own_deployment.add_gateways(2)
    session = own_deployment.session()
    redis = own_deployment.redis
    readers = [session, session.through(own_deployment.gateways[1].at)]

    async def read(at: Session, seen: Transcript) -> Transcript:
        async with at.resuming(query="?startIndex=0") as response:
            return await seen.read(response)

    async with session.sending("[[tokens=300 rate=100 first=0]]") as response:
        transcripts = [Transcript() for _ in readers]
        tasks = [
            asyncio.create_task(read(at, seen))
            for at, seen in zip(readers, transcripts, strict=True)
        ]
        sent = Transcript()
        async for _ in sent.follow(response):
            if sent.has_just_said(100):
                redis.wait_written()  # what may be lost are the newest chunks, not the opening
            if sent.has_just_said(200):
                redis.kill()
                redis.start()

    assert sent.sequences == list(range(len(sent.chunks)))
    assert sent.chunks[-1].get("finishReason") == "stop"
    assert sent.text == text_of((await session.snapshot())["messages"][-1])
    for other in await asyncio.gather(*tasks):
        assert other.chunks == sent.chunks


async def test_client_is_told_when_redis_stays_away(own_deployment: Deployment) -> None:
    """An outage longer than the limit ends the response with an error, never silently.

    What was open is closed, as at every end, wherever the run is produced.
    """
    own_deployment.add_gateways(2, {"runs": {"reader_outage_limit_s": 4.0}})
    session = own_deployment.session()
    sent, joined = Transcript(), Transcript()

    async with session.sending("[[tokens=2000 rate=50 first=0]]") as response:
        async for _ in sent.follow(response):
            if sent.text:
                break
        async with session.through(own_deployment.gateways[1].at).resuming() as elsewhere:
            async for _ in joined.follow(elsewhere):
                if joined.has_just_said(60):
                    own_deployment.redis.kill()
        await sent.read(response)

    for seen in (sent, joined):
        assert seen.types[-3:] == ["text-end", "error", "finish"]
        assert seen.done


async def test_gateway_is_not_ready_while_redis_is_away(own_deployment: Deployment) -> None:
    """/readyz fails, /livez does not, and a send gets a temporary error."""
    gateway = own_deployment.add_gateway()
    own_deployment.redis.kill()

    status, answer = await gateway.at.call(
        "POST", "/api/chat", own_deployment.session().body("hello")
    )

    assert (status, answer["error"]["code"]) == (503, "store_unavailable")
    assert (await gateway.at.call("GET", "/readyz"))[0] == 503
    assert (await gateway.at.call("GET", "/livez"))[0] == 200
    own_deployment.redis.start()
    await eventually(gateway.is_ready, "it is ready again")

    async def answers() -> bool:
        async with own_deployment.session().sending("[[tokens=3]]") as response:
            return response.status == 200

    await eventually(answers, "a send is answered again")
