"""A message for the running answer is what it is in `streamText`: chunks, prompts, outcomes."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.test_whole_runs_with_tools import ADD, GOOD, settings
from tests.conformance.whole_runs import (
    AGENTS,
    ORACLES,
    comparable,
    finish_after_abort,
    message_id,
    rewritten,
)
from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.sessions import Transcript, user_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.oracle import AiSdk
    from tests.support.simulator import HeldAnswer, Simulator

__all__ = ["anyio_backend", "pytest_runtest_makereport", "simulator"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def steered(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway whose agents have the tools of the oracle; some may take one step only."""
    tables = settings()
    for agent in AGENTS.values():
        tables[f"agents.{agent}-once"] = {
            **{"model": "sim-instant", "max_steps": 1},
            "provider": next(name for name, each in AGENTS.items() if each == agent),
        }
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("steered"), stack)
        made.add_gateway(tables)
        yield made


def prompt_of(held: HeldAnswer, before: str) -> str:
    return f"{before} {held.question}"


async def said_to_models(simulator: Simulator, held: HeldAnswer) -> list[Any]:
    """The conversation in each request of a run, without what names the run."""
    name = held.directive.split("=")[1].split(" ")[0]
    requests = await simulator.requests(name)
    talks = [each["body"].get("messages") or each["body"]["input"] for each in requests]
    text = re.sub(r"\b(call|toolu|fc|rs|msg)_\w+", "id", json.dumps(talks))
    talks = json.loads(text.replace(name, "held"))
    return [[_plain(message) for message in talk] for talk in talks]


def _plain(message: Any) -> Any:
    """A message with its text in one form: a string is a text part."""
    content = message.get("content")
    if isinstance(content, str):
        kind = "output_text" if message.get("role") == "assistant" else "text"
        message = {**message, "content": [{"type": kind, "text": content}]}
    return message


@pytest.mark.parametrize("before", ["", ADD], ids=["text", "a tool"])
@pytest.mark.parametrize("provider", AGENTS)
async def test_delivered_message_makes_the_chunks_and_the_prompts_of_the_ai_sdk(
    provider: str, before: str, steered: Deployment, ai_sdk: AiSdk
) -> None:
    given = "No, shorter. [[tokens=3]]"
    theirs_at, ours_at = steered.simulator.held(tokens=6), steered.simulator.held(tokens=6)
    theirs = ai_sdk.steer(
        provider=ORACLES[provider], url=steered.simulator.url, text=given,
        prompt=prompt_of(theirs_at, before),
        release=theirs_at.directive.split("=")[1].split(" ")[0],
    )  # fmt: skip
    session, seen = steered.session(), Transcript()
    message = user_message(given, "given")
    body = session.body(prompt_of(ours_at, before), None, {"agent": AGENTS[provider]})
    async with session.at.request("POST", "/api/chat?v=7.0.173", body) as response:
        async for chunk in seen.follow(response):
            if chunk["type"] == "start-step" and not has_more(seen):
                status, told = await session.at.call(
                    "POST", f"/api/chat/{session.id}/steer", {"message": message}
                )
                assert (status, told["type"]) == (202, "pending")
                await ours_at.release()
    assert comparable(seen.chunks) == rewritten(comparable(theirs["chunks"]), *GOOD)
    status, told = await session.at.call(
        "POST", f"/api/chat/{session.id}/steer", {"message": message}
    )
    assert (told["type"], told["stepNumber"]) == ("delivered", theirs["outcome"]["stepNumber"])
    ours = await said_to_models(steered.simulator, ours_at)
    assert ours == await said_to_models(steered.simulator, theirs_at)
    assert len(ours) == told["stepNumber"] + 1


def has_more(seen: Transcript) -> bool:
    """Whether a later step has begun."""
    return seen.types.count("start-step") > 1


@pytest.mark.parametrize("provider", AGENTS)
@pytest.mark.parametrize("how", ["stop", "last step"])
async def test_message_that_is_not_delivered_has_the_reason_of_the_ai_sdk(
    how: str, provider: str, steered: Deployment, ai_sdk: AiSdk
) -> None:
    given = "No, shorter. [[tokens=3]]"
    theirs_at, ours_at = steered.simulator.held(tokens=6), steered.simulator.held(tokens=6)
    theirs = ai_sdk.steer(
        provider=ORACLES[provider], url=steered.simulator.url, text=given,
        prompt=theirs_at.question, release=theirs_at.directive.split("=")[1].split(" ")[0],
        stop=how == "stop", maxSteps=20 if how == "stop" else 1,
    )  # fmt: skip
    session, seen = steered.session(), Transcript()
    message = user_message(given, "given")
    agent = AGENTS[provider] if how == "stop" else f"{AGENTS[provider]}-once"
    async with session.sending(ours_at.question, extra={"agent": agent}) as response:
        async for chunk in seen.follow(response):
            if chunk["type"] == "start-step" and not has_more(seen):
                body = {"message": message, "onUndelivered": "return"}
                await session.at.call("POST", f"/api/chat/{session.id}/steer", body)
                if how == "stop":
                    await session.stop()
                else:
                    await ours_at.release()
    status, told = await session.at.call(
        "POST", f"/api/chat/{session.id}/steer", {"message": message}
    )
    assert (status, told["type"]) == (200, theirs["outcome"]["type"])
    assert told["reason"] == theirs["outcome"]["reason"]
    assert "steering-message" not in {chunk["type"] for chunk in theirs["chunks"]}
    assert "data-steering" not in seen.types
    late = user_message("Late [[tokens=1]]", "late")
    body = {"message": late, "onUndelivered": "return"}
    status, refused = await session.at.call("POST", f"/api/chat/{session.id}/steer", body)
    assert (status, refused["error"]["reason"]) == (409, theirs["late"]["reason"])
    if how == "stop":
        names = (message_id, finish_after_abort)
        assert {chunk["type"] for chunk in rewritten(comparable(theirs["chunks"]), *names)}
