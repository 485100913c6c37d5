"""Background responses: another gateway resumes them, and the readers notice nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from midstream.protocol.cut_calls import INTERRUPTED_CALL
from tests.support.gateway import merged
from tests.support.orphans import (
    BACKGROUND,
    SLOW,
    TAKE_OVER_LIMIT_S,
    assert_seamless,
    begin,
    control,
    has_text,
    reading,
    reasoning_of,
    until,
)
from tests.support.processes import eventually
from tests.support.sessions import Transcript, text_of, user_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost

pytestmark = pytest.mark.anyio

AGENT = "responses"
LONG = "[[tokens=240 rate=120 first=0 reasoning=60]]"
LAST = 290
"""Of the 300 pieces of LONG. It is held there, so that it cannot end before the kill."""


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(lambda seen: len(seen.chunks) >= 2, id="at its start"),
        pytest.param(lambda seen: len(reasoning_of(seen)) > 60, id="in its reasoning"),
        pytest.param(has_text(60), id="in its text"),
        pytest.param(has_text(600), id="late in its text"),
    ],
)
async def test_reader_of_a_background_response_does_not_notice_a_kill(
    own_deployment: Deployment, reached: Callable[[Transcript], bool]
) -> None:
    """Another gateway reads on after the last event that was kept: no error, no hole."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, reached)
        producer.process.kill()
        killed_at = len(seen.chunks)
        await answer.release()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert killed_at < len(seen.chunks), "it was killed before its end"
    await assert_seamless(elsewhere, seen, await uncut)
    posts = await own_deployment.simulator.requests(prompt)
    assert len(posts) == 2, "one for the control, one for the run: it was not asked again"


async def test_reader_does_not_notice_a_kill_before_the_response_was_known(
    own_deployment: Deployment,
) -> None:
    """No gateway has its id: the model is asked again, once, as no part of it was shown."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    prompt = f"{session.id} [[{SLOW} tokens=20 rate=0]]"
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, lambda seen: len(seen.chunks) == 1)
        producer.process.kill()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    await assert_seamless(elsewhere, seen, await uncut)


async def test_take_over_asks_only_for_the_rest(own_deployment: Deployment) -> None:
    """`starting_after` is the last event kept, not the first: most is not read again."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    answer = own_deployment.simulator.held(after=220)
    await begin(session, f"{session.id} {LONG} {answer.directive}", AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, has_text(500))
        producer.process.kill()
        await answer.release()
        await reader

    [follow] = [
        request["path"]
        for request in await own_deployment.simulator.requests("starting_after")
        if request["started_at"] > 0
    ][-1:]
    after = int(follow.rpartition("starting_after=")[2])
    assert 50 < after < 230


async def test_ai_client_does_not_notice_a_kill(own_deployment: Deployment, node: NodeHost) -> None:
    """A real chat of ai 7 on the other gateway: one finish, no error, the text exact."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    question = user_message(prompt, "u-live")
    async with session.sending(prompt, message_id="u-live", extra={"agent": AGENT}) as response:
        assert response.status == 200
    chat = await node.chat(f"{survivor.at.url}/api/chat", session.id, messages=[question])
    await chat.resume()
    await chat.reach(80)

    producer.process.kill()
    await answer.release()
    seen = await chat.settle()

    kept = await session.through(survivor.at).snapshot()
    assert (seen["status"], seen["error"]) == ("ready", None)
    assert [finish["finishReason"] for finish in seen["finishes"]] == ["stop"]
    assert len(seen["messages"]) == 2
    assert text_of(seen["messages"][-1]) == text_of(kept["messages"][-1])
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    assert len(seen["requests"]) == 1, "it never had to come again"


async def test_tool_is_not_executed_again_after_a_kill(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """The tool's effect is unknown: its call is reported as interrupted, and the run continues."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    file = tmp_path / "executions"
    given = json.dumps({"file": str(file), "wait_s": 600})
    await begin(session, f"[[tool=work {given}]] [[rate=0 first=0 tokens=30]]", AGENT)
    await eventually(lambda: file.exists() and file.stat().st_size > 0, "the tool is executed")

    async with reading(elsewhere) as (seen, reader):
        producer.process.kill()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert file.read_text() == "executed\n"
    assert seen.types.count("tool-input-available") == 1
    [failed] = [chunk for chunk in seen.chunks if chunk["type"] == "tool-output-error"]
    assert failed["errorText"] == INTERRUPTED_CALL
    assert seen.types.count("start-step") == seen.types.count("finish-step") == 2
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert seen.text


async def test_tool_is_executed_by_the_gateway_that_takes_over(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """Killed before the model had finished its call, so it was not executed yet."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    file = tmp_path / "executions"
    given = json.dumps({"file": str(file), "wait_s": 0})
    thinks = own_deployment.simulator.held(after=40)
    prompt = f"[[tool=work {given}]] [[rate=40 first=0 tokens=30 reasoning=60]] {thinks.directive}"
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, lambda seen: len(reasoning_of(seen)) > 20)
        producer.process.kill()
        assert not file.exists()
        await thinks.release()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert file.read_text() == "executed\n"
    await assert_seamless(elsewhere, seen, await control(own_deployment, prompt, AGENT))


async def test_one_of_two_gateways_takes_over(own_deployment: Deployment) -> None:
    """Both notice within a moment; the log has each chunk once."""
    eager = merged(BACKGROUND, {"runs": {"reaper_tick_s": 0.05}})
    producer = own_deployment.add_gateway(BACKGROUND)
    others = own_deployment.add_gateways(2, eager)
    session = own_deployment.session()
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))
    await begin(session, prompt, AGENT)

    async with (
        reading(session.through(others[0].at)) as (one, first),
        reading(session.through(others[1].at)) as (two, second),
    ):
        await until(one, has_text(60))
        producer.process.kill()
        await answer.release()
        await asyncio.gather(first, second)

    assert one == two
    await assert_seamless(session.through(others[0].at), one, await uncut)
    taken = [other.process.output().count("run_resumed") for other in others]
    assert sorted(taken) == [0, 1]


async def test_run_outlives_all_gateways(own_deployment: Deployment) -> None:
    """A gateway that starts after the last has died resumes the runs."""
    producer = own_deployment.add_gateway(BACKGROUND)
    session = own_deployment.session()
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    await begin(session, prompt, AGENT)
    async with reading(session) as (seen, _):
        await until(seen, has_text(60))
        producer.process.kill()
    await answer.release()
    later = session.through(own_deployment.add_gateway(BACKGROUND).at)
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))

    await eventually(later.is_ended, "the run has ended", 40)

    kept = await later.snapshot()
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    assert text_of(kept["messages"][-1]) == (await uncut).text


async def test_gateway_that_leaves_hands_its_run_over(own_deployment: Deployment) -> None:
    """At the drain limit, without waiting for the lease; readers elsewhere see one answer."""
    slow_lease = {"runs": {"lease_s": 600.0, "renew_interval_s": 1.0, "reaper_tick_s": 0.2}}
    leaving = own_deployment.add_gateway(
        merged(BACKGROUND, slow_lease, {"server": {"drain_limit_s": 0.3}})
    )
    staying = own_deployment.add_gateway(merged(BACKGROUND, {"runs": {"reaper_tick_s": 0.2}}))
    session = own_deployment.session()
    elsewhere = session.through(staying.at)
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, has_text(60))
        leaving.terminate()
        await eventually(lambda: "run_resumed" in staying.process.output(), "it is handed over")
        await answer.release()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert leaving.process.wait_exit() == 0
    await assert_seamless(elsewhere, seen, await uncut)


async def test_stop_cancels_the_response_at_the_provider(own_deployment: Deployment) -> None:
    """A closed connection would leave it running."""
    session = (own_deployment.add_gateway(BACKGROUND), own_deployment.session())[1]
    run_id = await begin(session, "[[tokens=5000 rate=40 first=0]]", AGENT)
    async with reading(session) as (seen, reader):
        await until(seen, has_text(40))
        stopped = await session.stop()
        await reader

    assert stopped == [run_id]
    assert seen.types[-3:] == ["text-end", "abort", "finish"]
    await eventually(lambda: cancelled(own_deployment), "the response is cancelled")


async def test_stop_of_an_orphan_cancels_its_response(own_deployment: Deployment) -> None:
    """Its producer is dead, and no gateway resumes it."""
    producer, survivor = own_deployment.add_gateways(2, BACKGROUND)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    run_id = await begin(session, "[[tokens=5000 rate=40 first=0]]", AGENT)
    async with reading(elsewhere) as (seen, reader):
        await until(seen, has_text(40))
        producer.process.kill()
        stopped = await elsewhere.stop()
        await reader

    assert stopped == [run_id]
    assert seen.types[-3:] == ["text-end", "abort", "finish"]
    await eventually(lambda: cancelled(own_deployment), "the response is cancelled")


async def cancelled(deployment: Deployment) -> bool:
    """Whether the newest response was cancelled."""
    requests = await deployment.simulator.requests("/v1/responses")
    return bool(requests[-1]["path"].endswith("/cancel"))


@pytest.mark.parametrize("lost", ["cut", "eof"])
async def test_reader_does_not_notice_a_lost_connection_to_the_provider(
    own_deployment: Deployment, lost: str
) -> None:
    """The same gateway reads on, after the last event that it has."""
    session = (own_deployment.add_gateway(BACKGROUND), own_deployment.session())[1]
    prompt = f"{session.id} [[{lost} after=20]] [[{lost} after=60]]"
    answer = "[[tokens=100 rate=200 first=0]]"

    seen = await session.send(f"{prompt} {answer}", extra={"agent": AGENT})

    uncut = await control(own_deployment, f"{session.id} {answer}", AGENT)
    assert seen.text == uncut.text
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert len(await own_deployment.simulator.requests(prompt)) == 1
