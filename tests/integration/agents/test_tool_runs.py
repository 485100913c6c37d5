"""Tools of configured agents, over real gateways: executed, answered, asked about."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.answers import (
    FIVE_STEPS,
    allow,
    answer,
    finish_of,
    go_on,
    last_message,
    outputs,
    settings_with_tools,
    waiting,
)
from tests.support.sessions import Transcript, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

ASK = '[[tool=transfer {"amount": 50}]]'
AGENTS = ("assistant", "responses", "completions")


@pytest.mark.parametrize("agent", AGENTS)
async def test_five_steps_are_one_message_over_three_runs(
    with_tools: Deployment, agent: str
) -> None:
    """Asked here, allowed and answered at another gateway; the same result in both."""
    here, there = with_tools.session(0), with_tools.gateways[1].at
    first = await here.send(FIVE_STEPS, extra={"agent": agent})
    assert finish_of(first)["finishReason"] == "tool-calls"
    assert first.types.count("start-step") == first.types.count("finish-step") == 2
    assert first.types.count("tool-approval-request") == 1

    elsewhere = here.through(there)
    message = await last_message(elsewhere)
    second = await go_on(elsewhere, allow(message), agent)
    assert isinstance(second, Transcript)
    assert finish_of(second)["finishReason"] == "tool-calls"
    start, output, step = second.chunks[:3]
    assert (start["type"], start["messageId"]) == ("start", message["id"])
    assert (output["type"], output["output"]) == ("tool-output-available", {"sent": 50})
    assert step["type"] == "start-step"

    third = await go_on(here, answer(await last_message(here), {"city": "Bonn"}), agent)
    assert isinstance(third, Transcript)
    assert finish_of(third)["finishReason"] == "stop"
    assert third.types[:2] == ["start", "start-step"]
    counted = [c for c in third.chunks if c["type"] == "tool-output-available"]
    assert [(c["output"], c.get("preliminary", False)) for c in counted] == [
        (1, True),
        (2, True),
        (3, True),
        (3, False),
    ]

    final = await last_message(here)
    assert final == await last_message(elsewhere)
    assert sum(part["type"] == "step-start" for part in final["parts"]) == 5
    assert outputs(final) == [
        ("tool-add", 3),
        ("tool-meet", "met noon"),
        ("tool-meet", "met noon"),
        ("tool-transfer", {"sent": 5}),
        ("tool-transfer", {"sent": 50}),
        ("tool-where", {"city": "Bonn"}),
        ("tool-add", 7),
        ("tool-count", 3),
    ]
    assert "`where` answered" in text_of(final)


async def test_question_outlives_the_gateway(own_deployment: Deployment) -> None:
    """Killed while it waits: another one executes what a person allows."""
    gateway = own_deployment.add_gateway(settings_with_tools())
    session = own_deployment.session()
    await session.send(ASK)
    gateway.process.kill()
    revived = session.through(own_deployment.add_gateway(settings_with_tools()).at)
    message = await last_message(revived)
    assert waiting(message)["state"] == "approval-requested"
    run = await go_on(revived, allow(message))
    assert isinstance(run, Transcript)
    assert finish_of(run)["finishReason"] == "stop"
    assert outputs(await last_message(revived)) == [("tool-transfer", {"sent": 50})]


async def test_refused_call_is_denied_and_the_model_goes_on(with_tools: Deployment) -> None:
    """The tool is not executed, and the model gets the reason."""
    session = with_tools.session()
    await session.send(ASK)
    run = await go_on(session, allow(await last_message(session), approved=False))
    assert isinstance(run, Transcript)
    assert run.types[:3] == ["start", "tool-output-denied", "start-step"]
    assert finish_of(run)["finishReason"] == "stop"
    [part] = [p for p in (await last_message(session))["parts"] if "toolCallId" in p]
    assert part["state"] == "output-denied"
    assert "I say so" in text_of(await last_message(session))


async def test_one_of_two_answers_wins(with_tools: Deployment) -> None:
    """Two devices send opposite answers at the same time: the later one is refused."""
    here = with_tools.session(0)
    there = here.through(with_tools.gateways[1].at)
    await here.send(ASK)
    message = await last_message(here)
    runs = await asyncio.gather(
        go_on(here, allow(message)), go_on(there, allow(message, approved=False))
    )
    assert runs.count(409) == 1
    [part] = [p for p in (await last_message(here))["parts"] if "toolCallId" in p]
    executed = part["state"] == "output-available"
    refused = part["state"] == "output-denied"
    assert executed != refused
    chunks = [c for run in runs if isinstance(run, Transcript) for c in run.chunks]
    assert any(c["type"] == "tool-output-available" for c in chunks) == executed
    assert any(c["type"] == "tool-output-denied" for c in chunks) == refused


async def test_answer_to_what_does_not_wait_is_refused(with_tools: Deployment) -> None:
    """A call that was answered, one that never was, and one that a person must allow first."""
    session = with_tools.session()
    await session.send(ASK)
    message = await last_message(session)
    early = answer(message, "I did it myself")
    unknown = {**waiting(message), "toolCallId": "never", "state": "output-available", "output": 1}
    assert await go_on(session, early) == 409
    assert await go_on(session, {**message, "parts": [unknown]}) == 409
    assert isinstance(await go_on(session, allow(message)), Transcript)
    assert await go_on(session, allow(message, approved=False)) == 409
    assert outputs(await last_message(session)) == [("tool-transfer", {"sent": 50})]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        ("refuse", "tool-output-error", "Not today."),
        ("crash", "tool-output-error", "internal error"),
        ("unreadable", "tool-output-error", "not JSON"),
        ('add {"one": "1"}', "tool-input-error", "one"),
        ('nowhere {"x": 1}', "tool-input-error", "nowhere"),
    ],
)
async def test_failed_call_is_told_to_the_model(
    with_tools: Deployment, call: str, kind: str, text: str, agent: str
) -> None:
    """The run continues, and people see nothing of the exception."""
    session = with_tools.session()
    run = await session.send(f"[[tool={call}]]", extra={"agent": agent})
    [failure] = [c for c in run.chunks if c["type"] == kind]
    assert text in failure["errorText"]
    assert finish_of(run)["finishReason"] == "stop"
    assert text in text_of(await last_message(session))
    assert "swordfish" not in json.dumps(run.chunks)


async def test_large_result_is_kept_whole(with_tools: Deployment) -> None:
    """5 MB, in the stream and in the message."""
    session = with_tools.session()
    run = await session.send('[[tool=page {"length": 5000000}]]')
    assert finish_of(run)["finishReason"] == "stop"
    [(_, output)] = outputs(await last_message(session))
    assert output == "x" * 5_000_000


async def test_steps_end_at_the_limit(with_tools: Deployment) -> None:
    """With the last step's reason, as the AI SDK's."""
    run = await with_tools.session().send('[[tool=add {"one": 1, "two": 1}]] [[steps=50]]')
    assert run.types.count("start-step") == 6
    assert finish_of(run)["finishReason"] == "tool-calls"


async def test_stop_ends_a_tool_that_hangs(with_tools: Deployment) -> None:
    """From another gateway; the session takes the next message at once."""
    session = with_tools.session(0)
    run = Transcript()
    async with session.sending("[[tool=hang]]") as response:
        async for chunk in run.follow(response):
            if chunk["type"] == "tool-input-available":
                assert await session.through(with_tools.gateways[1].at).stop() != []
    assert run.types[-2:] == ["abort", "finish"]
    assert finish_of(await session.send("[[tokens=5]] and now?"))["finishReason"] == "stop"


async def test_metadata_names_model_usage_reason_and_times(with_tools: Deployment) -> None:
    """Of the run; the tokens are all its steps'."""
    run = await with_tools.session().send('[[tool=add {"one": 1, "two": 1}]]')
    metadata = finish_of(run)["messageMetadata"]
    assert metadata["finishReason"] == "stop"
    assert metadata["usage"]["totalTokens"] > metadata["usage"]["outputTokens"] > 0
    assert 0 <= metadata["firstChunkMs"] <= metadata["durationMs"]
