"""Compares whole answers with tools with the AI SDK's, by the listed deviations."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.protocol.cut_calls import INTERRUPTED_CALL
from tests.conformance.deviations import deviates
from tests.conformance.whole_runs import (
    AGENTS,
    ORACLES,
    Chunk,
    answer_metadata,
    comparable,
    finish_after_abort,
    message_id,
    rewritten,
)
from tests.support.answers import go_on, last_message, with_part
from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.sessions import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.oracle import AiSdk
    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

__all__ = ["anyio_backend", "pytest_runtest_makereport", "simulator"]

pytestmark = pytest.mark.anyio

ADD: Final = '[[tool=add {"one":1,"two":2}]]'
PAY: Final = "[[tool=pay]]"
BRIEF: Final = "[[tokens=3]]"


# -- deviations: what the AI SDK sent, in; what we send, out ---------------------------------


@deviates("approval-asked-last")
def approval_asked_last(chunks: list[Chunk]) -> list[Chunk]:
    asked = [chunk for chunk in chunks if chunk["type"] == "tool-approval-request"]
    rest = [chunk for chunk in chunks if chunk["type"] != "tool-approval-request"]
    last = {"tool-output-available", "finish-step"}
    index = next(i for i, chunk in enumerate(rest) if chunk["type"] in last)
    return [*rest[:index], *asked, *rest[index:]]


@deviates("validation-words")
def validation_words(chunks: list[Chunk]) -> list[Chunk]:
    begin = "Invalid input for tool add: "
    return [
        {**chunk, "errorText": begin}
        if chunk["type"] == "tool-input-error" and chunk["errorText"].startswith(begin)
        else chunk
        for chunk in words_to_the_model(chunks)
    ]


@deviates("validation-words")
def words_to_the_model(chunks: list[Chunk]) -> list[Chunk]:
    """Drop the number of tokens of the model's sentence about an invalid input."""
    return [
        {**chunk, "providerMetadata": "given"} if chunk["type"] == "custom" else chunk
        for chunk in chunks
    ]


@deviates("agents-without-tools")
def no_step_follows(chunks: list[Chunk]) -> list[Chunk]:
    index = next(i for i, chunk in enumerate(chunks) if chunk["type"] == "finish-step")
    finish = {"type": "finish", "finishReason": "tool-calls", "messageMetadata": "given"}
    return [*chunks[: index + 1], finish]


# -- the runs ------------------------------------------------------------------------------

GOOD: Final = (message_id, answer_metadata)
RUNS: Final[dict[str, tuple[Any, ...]]] = {
    f"{ADD} {BRIEF}": GOOD,
    f"{ADD} {ADD} {BRIEF}": GOOD,
    f"{PAY} {BRIEF}": GOOD,
    f"{ADD} {PAY} {BRIEF}": GOOD,
    f"{PAY} {ADD} {BRIEF}": (*GOOD, approval_asked_last),
    f"{PAY} {PAY} {BRIEF}": (*GOOD, approval_asked_last),
    f'[[tool=add {{"one":"1","two":2}}]] {BRIEF}': (*GOOD, validation_words),
    f'[[tool=nobody {{"a":1}}]] {BRIEF}': (*GOOD, words_to_the_model),
}
"""Prompt -> how the gateway's answer differs from the AI SDK's, in this order."""


def settings() -> Settings:
    """Return the tools of `whole_run.mjs`, for each agent; and agents without any."""
    tables: Settings = {}
    for provider, agent in AGENTS.items():
        tables[f"agents.{agent}"] = {
            "tools": [f"tests.support.tools:{name}" for name in ("add", "pay", "hang")]
        }
        tables[f"agents.{agent}.needs_approval"] = {"pay": True}
        tables[f"agents.{agent}.client_tools.where"] = {"description": "Where?"}
        tables[f"agents.{provider}-without"] = {"provider": provider, "model": "sim-instant"}
    return tables


@pytest.fixture(scope="module")
def with_tools(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A gateway whose agents have the tools."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("tools"), stack)
        made.add_gateway(settings())
        yield made


@pytest.mark.parametrize("prompt", RUNS)
@pytest.mark.parametrize("provider", AGENTS)
async def test_run_is_the_ai_sdks_but_for_the_deviations(
    provider: str, prompt: str, with_tools: Deployment, ai_sdk: AiSdk
) -> None:
    """All chunks are equal, each step, call and result included."""
    deviations = [
        deviation
        for deviation in RUNS[prompt]
        if provider == "anthropic" or deviation is not words_to_the_model
    ]
    theirs = ai_sdk.run(ORACLES[provider], with_tools.simulator.url, prompt, tools=True)
    ours = await with_tools.session().send(prompt, extra={"agent": AGENTS[provider]})
    found = comparable(ours.chunks)
    for deviation in {validation_words, words_to_the_model} & set(deviations):
        found = deviation(found)
    assert found == rewritten(comparable(theirs), *deviations)


@pytest.mark.parametrize("provider", AGENTS)
async def test_agent_without_tools_takes_no_step_after_a_call(
    provider: str, with_tools: Deployment, ai_sdk: AiSdk
) -> None:
    """It has no other tool to call."""
    prompt = f'[[tool=nobody {{"a":1}}]] {BRIEF}'
    theirs = comparable(ai_sdk.run(ORACLES[provider], with_tools.simulator.url, prompt))
    ours = await with_tools.session().send(prompt, extra={"agent": f"{provider}-without"})
    assert comparable(ours.chunks) == rewritten(theirs, message_id, no_step_follows)


@pytest.mark.parametrize("provider", AGENTS)
async def test_call_that_a_stop_cut_is_the_ai_sdks_and_closed(
    provider: str, with_tools: Deployment, ai_sdk: AiSdk
) -> None:
    """In the AI SDK it stays without a result; here its result tells that it was cut."""
    prompt = f"{ADD} [[tool=hang]]"
    theirs = comparable(ai_sdk.run(ORACLES[provider], with_tools.simulator.url, prompt, tools=True))
    session, seen = with_tools.session(), Transcript()
    async with session.sending(prompt, extra={"agent": AGENTS[provider]}) as response:
        async for chunk in seen.follow(response):
            if chunk["type"] == "tool-output-available":
                assert await session.stop()
    ours = [chunk for chunk in comparable(seen.chunks) if chunk["type"] != "tool-output-available"]
    assert ours == rewritten(theirs, message_id, finish_after_abort, closed_in_words)


@deviates("interrupted-calls")
def closed_in_words(chunks: list[Chunk]) -> list[Chunk]:
    [hang] = [chunk for chunk in chunks if chunk.get("toolName") == "hang" and "input" in chunk]
    closed = {
        "type": "tool-output-error",
        "toolCallId": hang["toolCallId"],
        "errorText": INTERRUPTED_CALL,
    }
    index = next(i for i, chunk in enumerate(chunks) if chunk["type"] == "abort")
    return [*chunks[:index], closed, *chunks[index:]]


@deviates("interrupted-calls")
@pytest.mark.parametrize("provider", AGENTS)
async def test_message_with_a_call_that_was_cut_goes_on(
    provider: str, with_tools: Deployment, ai_sdk: AiSdk
) -> None:
    """The AI SDK cannot continue the message that it leaves; it can continue ours."""
    session, seen = with_tools.session(), Transcript()
    prompt, agent = f"[[tool=where step=1]] [[tool=hang step=1]] {BRIEF}", AGENTS[provider]
    async with session.sending(prompt, extra={"agent": agent}) as response:
        async for chunk in seen.follow(response):
            if chunk["type"] == "tool-input-available" and chunk["toolName"] == "hang":
                assert await session.stop()
    message = await last_message(session)
    [where] = [part for part in message["parts"] if part["type"] == "tool-where"]
    answered = with_part(message, {**where, "state": "output-available", "output": "here"})

    before = (await session.snapshot())["messages"][:-1]
    [hang] = [part for part in message["parts"] if part["type"] == "tool-hang"]
    as_theirs = {key: hang[key] for key in hang if key not in ("errorText", "state")}
    as_theirs = with_part(answered, {**as_theirs, "state": "input-available"})
    theirs, closed = ai_sdk.requests(
        [
            {
                "provider": ORACLES[provider],
                "messages": [*before, each],
                "ignoreIncomplete": False,
            }
            for each in (as_theirs, answered)
        ]
    )
    assert "Tool result is missing" in theirs["@error"]
    assert hang["errorText"] in json.dumps(closed)

    run = await go_on(session, answered, agent)
    assert isinstance(run, Transcript)
    assert run.types[:2] == ["start", "start-step"]
    assert run.chunks[-1]["finishReason"] == "stop"
