"""A turn whose next call is late, whose caller leaves, or whose gateway shuts down."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.proxy.test_runs import WEATHER, called, calling, look, states, texts
from tests.support.processes import eventually
from tests.support.provider_calls import body_for
from tests.support.sessions import new_chat_id

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.wire import Endpoint

pytestmark = pytest.mark.anyio


async def first_step(at: Endpoint, session: str) -> dict[str, Any]:
    """Make a turn's first call; return the body of its second."""
    body = body_for("chat", f"{session} {WEATHER}", stream=False)
    status, data = await called(at, "chat", body, session, run="t")
    assert status == 200, data
    message = json.loads(data)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "warm"}
    body["messages"] += [message, result]
    return body


async def test_turn_whose_next_call_is_late_goes_on_with_its_message(
    own_deployment: Deployment,
) -> None:
    """The run ends at a limit; a late call becomes a new run of the same message."""
    at = own_deployment.add_gateway({"proxy": {"idle_limit_s": 0.3}}).at
    session = new_chat_id()
    body = await first_step(at, session)
    waited = await look(at, session)
    status, _ = await called(at, "chat", body, session, run="t")
    kept = await look(at, session)

    assert waited["runs"][0]["outcome"] == "finished"
    assert states(waited["messages"][1]) == ["input-available"]
    assert (status, states(kept["messages"][1])) == (200, ["output-available"])
    assert len(kept["messages"]) == 2
    assert texts(kept["messages"][1])


async def test_turn_goes_on_elsewhere_when_its_gateway_shuts_down(
    own_deployment: Deployment,
) -> None:
    """The gateway does not wait for a call that it would refuse."""
    leaving, staying = own_deployment.add_gateways(2)
    session = new_chat_id()
    body = await first_step(leaving.at, session)
    leaving.terminate()
    assert await asyncio.to_thread(leaving.process.wait_exit) == 0
    status, _ = await called(staying.at, "chat", body, session, run="t")
    kept = await look(staying.at, session)

    assert (status, states(kept["messages"][1])) == (200, ["output-available"])
    assert (len(kept["messages"]), kept["runs"][0]["outcome"]) == (2, "finished")


async def test_answer_is_finished_for_the_session_when_its_caller_leaves(
    own_deployment: Deployment,
) -> None:
    """By a setting: the provider is read to its end."""
    at = own_deployment.add_gateway({"proxy": {"finish_calls": True}}).at
    session = new_chat_id()
    body = body_for("chat", f"{session} [[tokens=60 rate=60 first=0]]")
    async with calling(at, "chat", body, session) as response:
        async for _ in response.pieces():
            break
    kept = await look(at, session)

    assert kept["runs"][0]["outcome"] == "finished"
    assert texts(kept["messages"][1])

    async def completed() -> bool:
        requests = await own_deployment.simulator.requests(session)
        return [each["ended"] for each in requests] == ["completed"]

    await eventually(completed, "the provider was read to its end")


async def test_ended_turn_takes_no_further_call(own_deployment: Deployment) -> None:
    """A key is one turn's: 409, and nothing goes to the provider."""
    at = own_deployment.add_gateway().at
    session = new_chat_id()
    body = body_for("chat", f"{session} [[tokens=3]]", stream=False)
    await called(at, "chat", body, session, run="t")
    status, data = await called(at, "chat", body, session, run="t")

    assert (status, json.loads(data)["error"]["code"]) == (409, "conflict")
    assert len(await own_deployment.simulator.requests(session)) == 1


async def test_retry_of_an_answered_call_adds_no_message(own_deployment: Deployment) -> None:
    """As its SDK says that it is one; the same words in a call of their own do."""
    at = own_deployment.add_gateway().at
    session = new_chat_id()
    body = body_for("chat", f"{session} [[tokens=3]]", stream=False)
    headers = {
        "authorization": "Bearer any",
        "x-midstream-session": session,
    }
    for retries in ("0", "1"):
        async with at.request(
            "POST",
            "/proxy/openai/v1/chat/completions",
            body,
            headers={**headers, "x-stainless-retry-count": retries},
        ) as response:
            assert response.status == 200
            await response.body()
        await look(at, session)
    assert len((await look(at, session))["messages"]) == 2
    await called(at, "chat", body, session)
    assert len((await look(at, session))["messages"]) == 4
