"""A step that is begun again: what readers of each version see of a run whose gateway died."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from midstream.protocol.cut_calls import INTERRUPTED_CALL
from tests.support.gateway import merged
from tests.support.orphans import (
    RESTARTING,
    SLOW,
    TAKE_OVER_LIMIT_S,
    assert_seamless,
    begin,
    control,
    has_text,
    reading,
    until,
)
from tests.support.processes import eventually
from tests.support.sessions import Transcript, text_of, user_message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.node import NodeHost

pytestmark = pytest.mark.anyio

AGENT = "assistant"
LONG = "[[tokens=160 rate=120 first=0 reasoning=20]]"
LAST = 170
"""Of the 180 pieces of LONG. It is held there, so that it cannot end before the kill."""


async def test_reader_of_ai_7_sees_the_step_reset(own_deployment: Deployment) -> None:
    """The cut step is closed and taken back; a whole answer follows."""
    producer, survivor = own_deployment.add_gateways(2, RESTARTING)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    uncut = asyncio.create_task(control(own_deployment, prompt, AGENT))
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, has_text(60))
        producer.process.kill()
        await answer.release()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    reset = seen.types.index("reset-step")
    assert seen.types[reset - 1] == "text-end"
    whole = await uncut
    after = Transcript(seen.chunks[reset + 1 :])
    assert [c["type"] for c in after.joined] == [c["type"] for c in whole.joined[2:]], (
        "the step goes on, it is not a second one"
    )
    assert after.text == whole.text
    starts = [c["id"] for c in seen.chunks if c["type"] in ("text-start", "reasoning-start")]
    assert len(set(starts)) == len(starts)
    kept = await elsewhere.snapshot()
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    assert text_of(kept["messages"][-1]) == whole.text


@pytest.mark.parametrize("ai", [5, 6, 7])
async def test_chat_ends_with_the_whole_answer(
    own_deployment: Deployment, node: NodeHost, ai: int
) -> None:
    """A real chat of each version that reads on: no error, one finish, and the answer is there.

    ai 7 shows it alone. Older ones have no word for a reset: the cut text stays before it, as
    a part that has ended, until they load the message.
    """
    producer = own_deployment.add_gateway(RESTARTING)
    survivor = own_deployment.add_gateway(merged(RESTARTING, {"server": {"client_level": ai}}))
    session = own_deployment.session()
    answer = own_deployment.simulator.held(after=LAST)
    prompt = f"{session.id} {LONG} {answer.directive}"
    question = user_message(prompt, "u-live")
    async with session.sending(prompt, message_id="u-live", extra={"agent": AGENT}) as response:
        assert response.status == 200
    chat = await node.chat(f"{survivor.at.url}/api/chat", session.id, ai=ai, messages=[question])
    await chat.resume()
    await chat.reach(60)

    producer.process.kill()
    await answer.release()
    seen = await chat.settle()

    kept = (await session.through(survivor.at).snapshot())["messages"][-1]
    assert (seen["status"], seen["error"]) == ("ready", None)
    assert len(seen["finishes"]) == 1
    shown = seen["messages"][-1]
    assert shown["id"] == kept["id"]
    texts = [part for part in shown["parts"] if part["type"] == "text"]
    assert {part["state"] for part in texts} == {"done"}
    assert texts[-1]["text"] == text_of(kept)
    if ai == 7:
        assert len(texts) == 1
    else:
        assert len(texts) == 2
        assert text_of(kept).startswith(texts[0]["text"])


async def test_step_of_which_nothing_was_shown_is_asked_for_again(
    own_deployment: Deployment,
) -> None:
    """There is nothing to reset."""
    producer, survivor = own_deployment.add_gateways(2, RESTARTING)
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


async def test_only_the_cut_step_begins_again(own_deployment: Deployment, tmp_path: Path) -> None:
    """A tool of the step before keeps its result, and is not executed again."""
    producer, survivor = own_deployment.add_gateways(2, RESTARTING)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    file = tmp_path / "executions"
    given = json.dumps({"file": str(file), "wait_s": 0})
    answer = own_deployment.simulator.held(tokens=120, after=110)
    prompt = f"[[tool=work {given} step=1]] [[rate=80 first=0 tokens=120]] {answer.directive}"
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, lambda seen: seen.types.count("start-step") == 2 and has_text(40)(seen))
        producer.process.kill()
        await answer.release()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert file.read_text() == "executed\n"
    assert seen.types.count("tool-output-available") == 1
    assert (seen.types.count("reset-step"), seen.types.count("start-step")) == (1, 2)
    message = (await elsewhere.snapshot())["messages"][-1]
    assert [part["type"] for part in message["parts"]].count("step-start") == 2
    whole = await control(own_deployment, prompt, AGENT)
    assert text_of(message) == whole.text


async def test_tool_under_way_is_not_executed_again(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """The step was answered: only its tool was cut, and is reported as interrupted."""
    producer, survivor = own_deployment.add_gateways(2, RESTARTING)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    file = tmp_path / "executions"
    given = json.dumps({"file": str(file), "wait_s": 600})
    await begin(session, f"[[tool=work {given} step=1]] [[rate=0 first=0 tokens=30]]", AGENT)
    await eventually(lambda: file.exists() and file.stat().st_size > 0, "the tool is executed")

    async with reading(elsewhere) as (seen, reader):
        producer.process.kill()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert file.read_text() == "executed\n"
    [failed] = [chunk for chunk in seen.chunks if chunk["type"] == "tool-output-error"]
    assert failed["errorText"] == INTERRUPTED_CALL
    assert "reset-step" not in seen.types
    assert seen.chunks[-1]["finishReason"] == "stop"


async def test_step_that_called_a_tool_of_the_client_is_closed(own_deployment: Deployment) -> None:
    """A client may have executed it already: begun again, it would be executed twice."""
    producer, survivor = own_deployment.add_gateways(2, RESTARTING)
    session = own_deployment.session()
    elsewhere = session.through(survivor.at)
    prompt = '[[tool=where {}]] [[tool=where {"a": "' + "x " * 400 + '"}]] [[rate=40 first=0]]'
    await begin(session, prompt, AGENT)

    async with reading(elsewhere) as (seen, reader):
        await until(seen, lambda seen: "tool-input-available" in seen.types)
        producer.process.kill()
        async with asyncio.timeout(TAKE_OVER_LIMIT_S):
            await reader

    assert "reset-step" not in seen.types
    assert seen.types[-2:] == ["error", "finish"]
    assert [run["outcome"] for run in (await elsewhere.snapshot())["runs"]] == ["interrupted"]


async def test_run_that_kills_its_gateways_is_closed_in_the_end(
    own_deployment: Deployment,
) -> None:
    """It is not resumed for ever."""
    producer = own_deployment.add_gateway(RESTARTING)
    session = own_deployment.session()
    run_id = await begin(session, f"{session.id} [[tokens=9000 rate=20 first=0]]", AGENT)
    async with reading(session) as (seen, _):
        await until(seen, has_text(20))
    producer.process.kill()
    fence = own_deployment.redis.client.hincrby(f"ms:{{{session.id}}}:meta", "fence", 5)
    assert fence == 6

    survivor = own_deployment.add_gateway(RESTARTING)
    elsewhere = session.through(survivor.at)
    await eventually(elsewhere.is_ended, "the run is closed", TAKE_OVER_LIMIT_S)

    kept = await elsewhere.snapshot()
    assert [(run["id"], run["outcome"]) for run in kept["runs"]] == [(run_id, "interrupted")]
