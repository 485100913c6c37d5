"""Runs that died, failed or were stopped with calls in them, and how their messages go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream.ids import MessageId, RunId, SessionId, new_id
from midstream.protocol.cut_calls import INTERRUPTED_CALL, UNCALLED
from midstream.protocol.messages import UIMessage
from midstream.sessions.opening.plan import accept
from midstream.sessions.types import StartRequest
from midstream.store.calls import OpenRun, OpenStatus
from midstream.store.records import RunInfo, RunState, Trigger
from midstream.store.redis.store import RedisStore
from tests.support.answers import (
    allow,
    answer,
    finish_of,
    go_on,
    last_message,
    outputs,
    settings_with_tools,
    waiting,
    with_part,
)
from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

ASK = '[[tool=transfer {"amount": 50}]]'


async def open_and_die(deployment: Deployment, session: Session, message: dict[str, Any]) -> RunId:
    """Accept a message as a gateway does that dies with the run's opening."""
    async with RedisStore.connect(deployment.redis.url) as store:
        state = await store.load(SessionId(session.id))
        assert state is not None
        request = StartRequest(
            session_id=state.meta.id,
            messages=[UIMessage.parse(json.dumps(message).encode())],
            trigger=Trigger.SUBMIT,
        )
        plan = accept(request, state, refuse_foreign=True)
        assert plan.continued is not None
        run = RunInfo(
            id=RunId(new_id("run")),
            state=RunState.OPEN,
            message_id=MessageId(plan.continued.id),
            user_message_id=plan.user_message_id,
            trigger=Trigger.SUBMIT,
            agent="assistant",
            continues=True,
        )
        opened = await store.open_run(
            OpenRun(
                session_id=state.meta.id,
                expected_owner=state.meta.owner,
                expected_tenant=state.meta.tenant,
                run=run,
                user_message=None,
                replaced_message=plan.replaced_message,
                content_hash=plan.content_hash,
                new_epoch="unused",
                title="",
                lease_ms=1,
            )
        )
        assert opened.status is OpenStatus.OPENED
        return run.id


async def begin(session: Session, message: dict[str, Any]) -> str:
    """Send a message with its answers, and let go when its run has begun; return its id."""
    body = {"id": session.id, "messages": [message], "trigger": "submit-message"}
    async with session.at.request("POST", "/api/chat", body) as response:
        assert response.status == 200, await response.body()
        return response.headers["x-midstream-run-id"]


async def is_over(session: Session, run_id: str) -> bool:
    """Whether the session's run, whose process died, has been closed."""
    [run] = (await session.snapshot())["runs"]
    assert run["id"] == run_id
    assert run.get("outcome") in (None, "interrupted")
    return bool(run["state"] == "ended")


def marks_in(folder: Path) -> int:
    """Return how often the tool `dig` has begun."""
    return sum(" " in path.name for path in folder.iterdir())


async def test_allowed_call_is_executed_by_a_retry_after_its_run_died_unbegun(
    own_deployment: Deployment,
) -> None:
    """The answer came in with the run; nothing had begun. The client sends the same again."""
    own_deployment.add_gateway(settings_with_tools())
    session = own_deployment.session()
    await session.send(ASK)
    allowed = allow(await last_message(session))
    run_id = await open_and_die(own_deployment, session, allowed)
    await eventually(lambda: is_over(session, run_id), "the run is closed")

    run = await go_on(session, allowed)
    assert isinstance(run, Transcript)
    assert run.types[:3] == ["start", "tool-output-available", "start-step"]
    assert finish_of(run)["finishReason"] == "stop"
    assert outputs(await last_message(session)) == [("tool-transfer", {"sent": 50})]
    assert await go_on(session, allowed) == 409


async def test_call_that_may_have_begun_is_not_executed_twice(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """The call was killed while it ran: the retry tells the model, which may call again."""
    first, second = own_deployment.add_gateways(2, settings_with_tools())
    session = own_deployment.session()
    await session.send(f"[[tool=dig {json.dumps({'folder': str(tmp_path)})}]]")
    allowed = allow(await last_message(session))
    run = await begin(session, allowed)
    await eventually(lambda: marks_in(tmp_path) == 1, "the tool runs")

    first.process.kill()
    survivor = session.through(second.at)
    await eventually(lambda: is_over(survivor, run), "the run is closed")
    [part] = [p for p in (await last_message(survivor))["parts"] if "toolCallId" in p]
    retried = await go_on(survivor, allowed)
    assert isinstance(retried, Transcript)
    assert finish_of(retried)["finishReason"] == "stop"
    [part] = [p for p in (await last_message(survivor))["parts"] if "toolCallId" in p]
    assert (part["state"], part["errorText"]) == ("output-error", INTERRUPTED_CALL)
    assert INTERRUPTED_CALL in text_of(await last_message(survivor))
    assert marks_in(tmp_path) == 1


async def test_stopped_call_is_not_executed_by_the_answer_to_another(
    with_tools: Deployment, tmp_path: Path
) -> None:
    """Two questions, one allowed and stopped while it ran, then the other allowed."""
    session = with_tools.session()
    where = json.dumps({"folder": str(tmp_path)})
    await session.send(f'[[tool=dig {where} step=1]] [[tool=transfer {{"amount": 50}} step=1]]')
    message = await last_message(session)
    [dig] = (part for part in message["parts"] if part["type"] == "tool-dig")
    approval = {**dig["approval"], "approved": True}
    both = with_part(message, {**dig, "state": "approval-responded", "approval": approval})
    await begin(session, both)
    await eventually(lambda: marks_in(tmp_path) == 1, "the tool runs")
    assert len(await session.stop()) == 1
    assert await go_on(session, both) == 409

    run = await go_on(session, allow(await last_message(session)))
    assert isinstance(run, Transcript)
    assert finish_of(run)["finishReason"] == "stop"
    states = [p["state"] for p in (await last_message(session))["parts"] if "toolCallId" in p]
    assert states == ["output-error", "output-available"]
    assert marks_in(tmp_path) == 1


async def test_client_cannot_answer_for_a_tool_of_the_server(with_tools: Deployment) -> None:
    """Stopped while it ran: its call is closed, and no client may make a result up."""
    session = with_tools.session()
    run = Transcript()
    async with session.sending("[[tool=where step=1]] [[tool=hang step=1]]") as response:
        async for chunk in run.follow(response):
            if chunk["type"] == "tool-input-available" and chunk["toolName"] == "hang":
                assert await session.stop() != []
    message = await last_message(session)
    where, hang = (part for part in message["parts"] if "toolCallId" in part)
    assert (where["state"], hang["state"]) == ("input-available", "output-error")
    forged = with_part(message, {**hang, "state": "output-available", "output": "I did it"})
    assert await go_on(session, forged) == 409
    assert await go_on(session, forged, agent="without") == 409

    both = with_part(forged, {**where, "state": "output-available", "output": {"city": "Bonn"}})
    finished = await go_on(session, both)
    assert isinstance(finished, Transcript)
    where, hang = (p for p in (await last_message(session))["parts"] if "toolCallId" in p)
    assert where["output"] == {"city": "Bonn"}
    assert hang["state"] == "output-error"
    assert hang["errorText"] in (INTERRUPTED_CALL, UNCALLED)


@pytest.mark.parametrize("agent", ["assistant", "responses", "completions"])
async def test_stop_inside_a_tool_is_told_to_people_and_to_the_model(
    agent: str, with_tools: Deployment, simulator: Simulator, tmp_path: Path
) -> None:
    """The call is closed in words that people read; the next request explains them to the model."""
    session, run = with_tools.session(), Transcript()
    where = json.dumps({"folder": str(tmp_path)})
    extra = {"agent": agent}
    async with session.sending(f"[[tool=delve {where} step=1]]", extra=extra) as response:
        async for chunk in run.follow(response):
            if chunk["type"] == "tool-output-available":  # a preliminary one: it has begun
                assert await session.stop()
    assert run.types[-3:] == ["tool-output-error", "abort", "finish"]
    [part] = [part for part in (await last_message(session))["parts"] if "toolCallId" in part]
    assert (part["state"], part["errorText"]) == ("output-error", INTERRUPTED_CALL)

    question = f"Did you dig in {where}? [[tokens=3]]"
    after = await session.send(question, extra=extra)
    assert finish_of(after)["finishReason"] == "stop"
    *_, asked = await simulator.requests(containing="Did you dig in")
    assert INTERRUPTED_CALL in json.dumps(asked["body"])


async def test_answered_call_goes_on_after_its_run_failed(with_tools: Deployment) -> None:
    """The provider fails behind the client's answer: the same message again goes on with it."""
    session = with_tools.session()
    await session.send("[[tool=where]]")
    message = await last_message(session)
    answered = answer(message, {"city": "Bonn"})
    failed = await go_on(session, answered, agent="lost")
    assert isinstance(failed, Transcript)
    assert failed.types[-2:] == ["error", "finish"]
    run = await go_on(session, answered)
    assert isinstance(run, Transcript)
    assert finish_of(run)["finishReason"] == "stop"
    assert outputs(await last_message(session)) == [("tool-where", {"city": "Bonn"})]


async def test_failed_run_waits_for_what_it_waited_for(with_tools: Deployment) -> None:
    """A retry that brings no answer to an open call is refused, and so is words alone."""
    session = with_tools.session()
    await session.send("[[error=overloaded after=3]]")
    assert await go_on(session, await last_message(session)) == 409
    await session.send("[[tool=where]]")
    message = await last_message(session)
    assert waiting(message)["state"] == "input-available"
    assert await go_on(session, message) == 409
