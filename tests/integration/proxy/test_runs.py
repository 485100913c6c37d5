"""Calls that name a session: their bytes are the same, and they are runs of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually
from tests.support.provider_calls import APIS, PATHS, body_for, events_in, final_of
from tests.support.sessions import new_chat_id
from tests.support.wire import ConnectionLost, Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.fixtures import Deployment
    from tests.support.wire import Response

pytestmark = pytest.mark.anyio

KEYS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
WEATHER = '[[tool=weather {"city":"Paris"}]] [[tokens=4]]'


@asynccontextmanager
async def calling(
    at: Endpoint, api: str, body: Mapping[str, Any], session: str, **headers: str
) -> AsyncIterator[Response]:
    """Make a call that names a session; other headers as `run`, `message`, `agent`."""
    named = {f"x-midstream-{name}": value for name, value in headers.items()}
    async with at.request(
        "POST",
        f"/proxy/{PATHS[api]}",
        body,
        headers={**KEYS, "x-midstream-session": session, **named},
    ) as response:
        yield response


async def called(
    at: Endpoint, api: str, body: Mapping[str, Any], session: str, **headers: str
) -> tuple[int, bytes]:
    """Make such a call; return its status and all of its body."""
    async with calling(at, api, body, session, **headers) as response:
        return response.status, await response.body()


async def look(at: Endpoint, session: str) -> Any:
    """The session's snapshot, once no run of it is open."""

    async def ended() -> bool:
        status, answer = await at.call("GET", f"/api/chat/{session}")
        return status == 200 and answer["runs"][-1]["state"] == "ended"

    await eventually(ended, "the run has ended")
    return (await at.call("GET", f"/api/chat/{session}"))[1]


def texts(message: Any) -> str:
    """A message's text."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def said_in(api: str, final: Any) -> str:
    """The text of an answer, as its SDK has it."""
    if api == "chat":
        return str(final.choices[0].message.content)
    if api == "responses":
        return str(final.output_text)
    return "".join(block.text for block in final.content if block.type == "text")


def states(message: Any) -> list[str]:
    """Of a message's tool calls, in order."""
    return [part["state"] for part in message["parts"] if part["type"] == "tool-weather"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", APIS)
async def test_call_is_a_run_of_the_session_it_names(
    deployment: Deployment, api: str, stream: bool
) -> None:
    """The user's words, and what the caller was answered."""
    at, session = deployment.gateways[0].at, new_chat_id()
    status, data = await called(at, api, body_for(api, "Hi [[tokens=9]]", stream=stream), session)
    assert status == 200
    kept = await look(deployment.gateways[1].at, session)

    user, answer = kept["messages"]
    assert (user["role"], texts(user)) == ("user", "Hi [[tokens=9]]")
    assert kept["runs"][0]["outcome"] == "finished"
    assert kept["runs"][0]["agent"] == "proxy"
    assert answer["metadata"]["finishReason"] == "stop"
    if stream:
        final = final_of(api, data)
        assert texts(answer) == said_in(api, final)
    assert texts(answer).startswith("You asked")


async def converse(at: Endpoint, session: str, steps: int, **headers: str) -> None:
    """A backend's loop over Chat Completions: call, execute, call again."""
    body = body_for("chat", f"{WEATHER} [[steps={steps}]]", stream=False)
    while True:
        status, data = await called(at, "chat", body, session, **headers)
        assert status == 200, data
        message = json.loads(data)["choices"][0]["message"]
        body["messages"].append(message)
        if not message.get("tool_calls"):
            return
        for call in message["tool_calls"]:
            result = {"role": "tool", "tool_call_id": call["id"], "content": '{"celsius": 21}'}
            body["messages"].append(result)


async def test_calls_of_a_turn_are_steps_of_one_run(deployment: Deployment) -> None:
    """Tools' results included, and what all steps used together."""
    at, session = deployment.gateways[0].at, new_chat_id()
    await converse(at, session, 3, run="turn-1", agent="planner")
    kept = await look(at, session)

    user, answer = kept["messages"]
    assert [part["type"] for part in answer["parts"]].count("step-start") == 4
    assert states(answer) == ["output-available"] * 3
    assert answer["parts"][1]["output"] == {"celsius": 21}
    assert kept["runs"][0]["agent"] == "planner"
    assert (texts(user), len(kept["messages"])) == (f"{WEATHER} [[steps=3]]", 2)


async def test_calls_without_a_run_go_on_with_the_same_message(
    deployment: Deployment,
) -> None:
    """Each is a run; the results of its tools come with the next one."""
    at, session = deployment.gateways[0].at, new_chat_id()
    await converse(at, session, 2)
    kept = await look(at, session)

    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]
    assert states(kept["messages"][1]) == ["output-available"] * 2
    assert kept["runs"][-1]["continues"]


async def test_call_that_lands_on_another_gateway_goes_on_with_the_turn(
    deployment: Deployment,
) -> None:
    """No load balancer has to know which process holds it; usage counts on."""
    session, ends = new_chat_id(), [gateway.at for gateway in deployment.gateways]
    body = body_for("messages", f"{WEATHER} [[steps=3]]", stream=False)
    used = 0
    for step in range(4):
        status, data = await called(ends[step % 2], "messages", body, session, run="turn-2")
        assert status == 200, data
        answer = json.loads(data)
        used += answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "warm"}
            for block in answer["content"]
            if block["type"] == "tool_use"
        ]
        body["messages"] += [
            {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": results},
        ]
    kept = await look(ends[0], session)

    assert states(kept["messages"][1]) == ["output-available"] * 3
    assert len(kept["messages"]) == 2
    assert kept["messages"][1]["metadata"]["usage"]["totalTokens"] == used


async def test_tool_that_failed_is_shown_as_failed(deployment: Deployment) -> None:
    """Anthropic's API has a word for it."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("messages", WEATHER, stream=False)
    _, data = await called(at, "messages", body, session, run="t")
    content = json.loads(data)["content"]
    failed = [
        {"type": "tool_result", "tool_use_id": b["id"], "content": "no such city", "is_error": True}
        for b in content
        if b["type"] == "tool_use"
    ]
    body["messages"] += [
        {"role": "assistant", "content": content},
        {"role": "user", "content": failed},
    ]
    await called(at, "messages", body, session, run="t")
    kept = await look(at, session)

    (part,) = [p for p in kept["messages"][1]["parts"] if p["type"] == "tool-weather"]
    assert (part["state"], part["errorText"]) == ("output-error", "no such city")


@pytest.mark.parametrize("api", APIS)
async def test_stop_ends_the_call_and_the_callers_stream_well(
    deployment: Deployment, api: str
) -> None:
    """From another gateway: the provider sees a disconnect, the SDK a whole answer."""
    session = new_chat_id()
    body = body_for(api, f"{session} [[tokens=400 rate=0]] [[stall=10m after=200]]")
    async with calling(deployment.gateways[0].at, api, body, session) as response:
        data = b""
        async for piece in response.pieces():
            data += piece
            if data.count(b"\n\n") > 200:
                break
        stopping = asyncio.create_task(
            deployment.gateways[1].at.call("POST", f"/api/chat/{session}/stop", {})
        )
        data += await response.body()
    status, answer = await stopping

    assert status == 200 and len(answer["stopped"]) == 1
    final = final_of(api, data)
    assert b": midstream-stopped" in data
    assert events_in(data)[-1]
    kept = await look(deployment.gateways[0].at, session)
    assert kept["runs"][0]["outcome"] == "stopped"
    assert said_in(api, final) == texts(kept["messages"][1]) != ""
    await _assert_cancelled(deployment, session)


async def _assert_cancelled(deployment: Deployment, marker: str) -> None:
    async def cancelled() -> bool:
        requests = await deployment.simulator.requests(marker)
        return [request["ended"] for request in requests] == ["disconnected"]

    await eventually(cancelled, "the provider's connection is closed")


@pytest.mark.parametrize("api", APIS)
async def test_stop_before_the_provider_answers_gives_a_stream_its_end(
    deployment: Deployment, api: str
) -> None:
    """And a call that does not stream a clear error, which SDKs do not try again."""
    at = deployment.gateways[0].at
    for stream in (True, False):
        session = new_chat_id()
        body = body_for(api, f"{session} [[headers=10m]]", stream=stream)
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(called(at, api, body, session))

            async def asked(session: str = session) -> bool:
                return bool(await deployment.simulator.requests(session))

            await eventually(asked, "the provider has the request")
            _, answer = await at.call("POST", f"/api/chat/{session}/stop", {})
            assert len(answer["stopped"]) == 1
        status, data = call.result()
        if stream:
            assert status == 200
            final_of(api, data)
        else:
            assert (status, json.loads(data)["error"]["code"]) == (409, "run_stopped")
        await _assert_cancelled(deployment, session)


async def test_next_call_of_a_stopped_turn_is_refused(
    deployment: Deployment,
) -> None:
    """Whichever gateway it comes to, before anything goes to the provider."""
    session, ends = new_chat_id(), [gateway.at for gateway in deployment.gateways]
    body = body_for("chat", f"{session} {WEATHER}", stream=False)
    _, data = await called(ends[0], "chat", body, session, run="t")
    await ends[1].call("POST", f"/api/chat/{session}/stop", {})
    message = json.loads(data)["choices"][0]["message"]
    body["messages"] += [
        message,
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "x"},
    ]
    for at in ends:
        async with calling(at, "chat", body, session, run="t") as response:
            refused = await response.json()
        assert (response.status, refused["error"]["code"]) == (409, "run_stopped")
        assert response.headers["x-should-retry"] == "false"
    assert len(await deployment.simulator.requests(session)) == 1


async def test_run_in_the_way_is_a_conflict(deployment: Deployment) -> None:
    """In the provider's shape, before anything goes there; the turn is not disturbed."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("messages", f"{session} [[tokens=400 rate=0]] [[stall=10m after=100]]")
    async with calling(at, "messages", body, session, run="t") as response:
        await anext(response.pieces())
        for run in ({"run": "other"}, {}, {"run": "t"}):
            other = body_for("messages", f"{session} again", stream=False)
            status, data = await called(at, "messages", other, session, **run)
            error = json.loads(data)["error"]
            assert (status, error["code"], error["type"]) == (409, "run_active", "conflict_error")
    assert len(await deployment.simulator.requests(session)) == 1


async def test_caller_that_leaves_ends_the_call_and_its_run(
    deployment: Deployment,
) -> None:
    """The call ends as without the proxy, and the session records the reason."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[tokens=400 rate=0]] [[stall=10m after=30]]")
    async with calling(at, "chat", body, session) as response:
        async for _ in response.pieces():
            break
    kept = await look(at, session)

    assert kept["runs"][0]["outcome"] == "interrupted"
    assert texts(kept["messages"][1])
    await _assert_cancelled(deployment, session)


async def test_providers_error_is_the_callers_and_the_runs(
    deployment: Deployment,
) -> None:
    """The bytes are the provider's; a retry answers the same message."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[http=500 times=1]] [[tokens=3]]", stream=False)
    status, data = await called(at, "chat", body, session)
    assert status == 500
    assert "midstream" not in data.decode()
    assert (await look(at, session))["runs"][0]["outcome"] == "failed"

    status, _ = await called(at, "chat", body, session)
    kept = await look(at, session)
    assert (status, kept["runs"][0]["outcome"]) == (200, "finished")
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"]


async def test_retry_within_a_turn_is_the_same_step(deployment: Deployment) -> None:
    """The run waits for it: nobody sees that it was tried twice."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[http=429 times=2]] [[tokens=3]]", stream=False)
    statuses = [(await called(at, "chat", body, session, run="t"))[0] for _ in range(3)]
    kept = await look(at, session)

    assert statuses == [429, 429, 200]
    assert kept["runs"][0]["outcome"] == "finished"
    assert [part["type"] for part in kept["messages"][1]["parts"]] == ["step-start", "text"]


async def test_answer_that_breaks_off_is_broken_off_for_all(
    deployment: Deployment,
) -> None:
    """The caller's is cut, the run fails with a sentence, what was said stays."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[tokens=40 rate=0]] [[cut after=15]]")
    with pytest.raises(ConnectionLost):
        await called(at, "chat", body, session)
    kept = await look(at, session)

    assert kept["runs"][0]["outcome"] == "failed"
    assert texts(kept["messages"][1])


async def test_message_that_waits_is_the_one_that_is_answered(
    deployment: Deployment,
) -> None:
    """By its words, or by its id; else the words are a new message."""
    at, session = deployment.gateways[0].at, new_chat_id()
    failing = body_for("chat", f"{session} [[http=400]]", stream=False)
    for _ in range(2):
        await called(at, "chat", failing, session)
    assert len((await look(at, session))["messages"]) == 2
    await called(at, "chat", body_for("chat", "Other [[tokens=3]]", stream=False), session)
    kept = await look(at, session)
    assert [m["role"] for m in kept["messages"]] == ["user", "assistant", "user", "assistant"]

    named = kept["messages"][2]["id"]
    again = body_for("chat", "Other [[tokens=5]]", stream=False)
    await called(at, "chat", again, session, message=named)
    await called(at, "chat", again, session, message="mine-1")
    kept = await look(at, session)
    assert [m["id"] for m in kept["messages"] if m["role"] == "user"][1:] == [named, "mine-1"]
    assert len(kept["messages"]) == 6


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"session": "no id"}, {}),
        ({"run": "{x}"}, {}),
        ({"message": ".."}, {}),
        ({"agent": "a b"}, {}),
        ({}, b"no json"),
        ({}, {"messages": 5}),
        ({}, {"messages": []}),
    ],
)
async def test_call_that_cannot_be_shown_is_refused_before_the_provider(
    deployment: Deployment, headers: dict[str, str], body: Any
) -> None:
    """With one sentence; the session stays usable."""
    at, session = deployment.gateways[0].at, new_chat_id()
    content = body if body != {} else body_for("chat", session, stream=False)
    sent = {"x-midstream-session": session}
    sent |= {f"x-midstream-{name}": value for name, value in headers.items()}
    async with at.request(
        "POST", "/proxy/openai/v1/chat/completions", content, headers={**KEYS, **sent}
    ) as response:
        refused = await response.json()
    assert (response.status, refused["error"]["code"]) == (400, "invalid_request")
    assert refused["error"]["message"].startswith("unable to ")
    assert await deployment.simulator.requests(session) == []

    status, _ = await called(at, "chat", body_for("chat", "x [[tokens=2]]"), session)
    assert status == 200
