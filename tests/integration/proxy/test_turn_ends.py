"""The end of a proxied run that waits for its next call: by its backend, or by the person."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.proxy.test_runs import WEATHER, called, look, states, texts
from tests.support.processes import eventually
from tests.support.provider_calls import body_for
from tests.support.sdks import REFUSED, SDKS, Sdk, sdk_id, with_results
from tests.support.sessions import new_chat_id

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.wire import Endpoint

pytestmark = pytest.mark.anyio

EACH_SDK = pytest.mark.parametrize("sdk", SDKS, ids=sdk_id)


async def ended(at: Endpoint, session: str, key: str, body: Any = b"") -> tuple[int, Any]:
    """Ask for the end of a run, as its backend does."""
    return await at.call("POST", f"/api/agent/turns/{session}/{key}/end", body)


@EACH_SDK
async def test_call_that_says_so_is_the_last_one_of_its_run(
    deployment: Deployment, sdk: Sdk
) -> None:
    """With any last part: for example, an answer that is a tool's input."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for(sdk.api, f"{WEATHER} [[steps=2]]", stream=False)
    first = await sdk.call(at, body, session=session, run="t")
    await sdk.call(at, with_results(sdk.api, body, first), session=session, run="t", end="true")
    kept = await look(deployment.gateways[1].at, session)

    assert states(kept["messages"][1]) == ["output-available", "input-available"]
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    refused = await called(at, sdk.api, body, session, run="t")
    assert (refused[0], json.loads(refused[1])["error"]["code"]) == (409, "conflict")


async def test_last_call_that_is_tried_again_is_still_the_last_one(
    deployment: Deployment,
) -> None:
    """The run waits for the try that succeeds, and for nothing after it."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[http=429 times=1]] {WEATHER}", stream=False)
    statuses = [(await called(at, "chat", body, session, run="t", end="true"))[0] for _ in range(2)]
    kept = await look(at, session)
    assert statuses == [429, 200]
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]


@EACH_SDK
async def test_backend_ends_a_run_that_waits_by_a_request(deployment: Deployment, sdk: Sdk) -> None:
    """To any gateway; twice is once; the words stay."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    await sdk.call(at, body_for(sdk.api, WEATHER, stream=False), session=session, run="t")
    answers = [await ended(other, session, "t"), await ended(at, session, "t")]
    (run,) = (await look(at, session))["runs"]

    assert answers == [(200, {"runId": run["id"], "outcome": "finished"})] * 2
    assert (run["outcome"], run["proxied"]) == ("finished", True)


async def test_backend_says_that_its_run_has_failed(deployment: Deployment) -> None:
    """In a sentence that people read."""
    at, session = deployment.gateways[0].at, new_chat_id()
    await called(at, "chat", body_for("chat", WEATHER, stream=False), session, run="t")
    told = {"outcome": "failed", "errorText": "The station is closed."}
    status, answer = await ended(at, session, "t", told)
    assert (status, answer["outcome"]) == (200, "failed")
    assert (await look(at, session))["runs"][0]["outcome"] == "failed"


async def test_run_that_cannot_be_ended_so_is_told_why(deployment: Deployment) -> None:
    """None of that key, one that is pushed, one whose call is under way; at any gateway."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    assert (await ended(at, session, "t"))[0] == 404
    pushed = {"id": session, "key": "job", "text": "Go."}
    _, claimed = await at.call("POST", "/api/agent/runs", pushed)
    for key in ("t", "job"):
        status, answer = await ended(at, session, key)
        assert (status, answer["error"]["code"]) == (404, "run_not_found")
    path = f"/api/agent/runs/{session}/{claimed['runId']}/end?fence={claimed['fence']}"
    await at.call("POST", path, {"first": 1, "outcome": "finished"})

    body = body_for("chat", f"{session} [[headers=10m]]")
    call = asyncio.create_task(called(at, "chat", body, session, run="t"))
    await until_asked(deployment, session)
    assert (await ended(at, session, "t"))[1]["error"]["code"] == "run_active"
    assert (await ended(at, session, "t", b"[]"))[1]["error"]["code"] == "invalid_request"
    await other.call("POST", f"/api/chat/{session}/stop", {})
    assert (await call)[0] == 200


async def until_asked(deployment: Deployment, marker: str) -> None:
    """Wait until the provider has a request with these words."""

    async def asked() -> bool:
        return bool(await deployment.simulator.requests(marker))

    await eventually(asked, "the provider has the request")


async def sent(at: Endpoint, session: str, text: str) -> tuple[int, Any]:
    """Send a person's message; return the status, and the error if it was refused."""
    message = {"id": new_chat_id(), "role": "user", "parts": [{"type": "text", "text": text}]}
    body = {"id": session, "trigger": "submit-message", "messages": [message]}
    async with at.request("POST", "/api/chat", body) as response:
        data = await response.body()
    return response.status, json.loads(data)["error"]["code"] if response.status != 200 else None


@EACH_SDK
async def test_persons_message_ends_a_run_that_waits(deployment: Deployment, sdk: Sdk) -> None:
    """Through any gateway. The backend's next call of it is refused, in its SDK's words."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    body = body_for(sdk.api, WEATHER, stream=False)
    first = await sdk.call(at, body, session=session, run="t")
    assert await sent(other, session, "Never mind. [[tokens=3]]") == (200, None)
    with pytest.raises(REFUSED) as refused:
        await sdk.call(at, with_results(sdk.api, body, first), session=session, run="t")
    kept = await look(at, session)

    error: Any = refused.value
    assert error.response.headers["x-midstream-error"] == "run_stopped"
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"] * 2
    assert texts(kept["messages"][3])


@EACH_SDK
async def test_next_turn_of_a_backend_ends_the_one_that_waits(
    deployment: Deployment, sdk: Sdk
) -> None:
    """A loop that broke off, and the person's next message, under its own key or none."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    await sdk.call(at, body_for(sdk.api, WEATHER, stream=False), session=session, run="t")
    again = body_for(sdk.api, "And in Rome? [[tokens=3]]", stream=False)
    await sdk.call(other, again, session=session, run="t2")
    kept = await look(at, session)

    assert texts(kept["messages"][2]) == "And in Rome? [[tokens=3]]"
    assert texts(kept["messages"][3])
    assert len(kept["messages"]) == 4


async def test_persons_message_ends_no_run_whose_call_is_under_way(deployment: Deployment) -> None:
    """Neither before its first word nor after; nor by the words that the run answers."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for("chat", f"{session} [[headers=10m]]")
    call = asyncio.create_task(called(at, "chat", body, session, run="t"))
    await until_asked(deployment, session)
    for gateway in deployment.gateways:
        assert await sent(gateway.at, session, "Hello?") == (409, "run_active")
        status, _ = await called(gateway.at, "chat", body_for("chat", "Hello?"), session, run="u")
        assert status == 409
    await at.call("POST", f"/api/chat/{session}/stop", {})
    await call


@EACH_SDK
async def test_person_is_quoted_where_a_harness_writes_the_prompt(
    deployment: Deployment, sdk: Sdk
) -> None:
    """The session's message and title are what the person has said, in any script."""
    at, session = deployment.gateways[0].at, new_chat_id()
    body = body_for(sdk.api, "<system-reminder>You plan trips.</system-reminder> [[tokens=3]]")
    said = "Wie%20ist%20das%20Wetter%20in%20Z%C3%BCrich%3F%20%F0%9F%8C%A4"
    await sdk.call(at, body, session=session, text=said)
    kept = await look(at, session)

    assert texts(kept["messages"][0]) == "Wie ist das Wetter in Zürich? 🌤"
    assert kept["title"] == "Wie ist das Wetter in Zürich? 🌤"


@pytest.mark.parametrize("headers", [{"text": "%20"}, {"end": "maybe"}])
async def test_header_that_cannot_be_read_is_refused(
    deployment: Deployment, headers: dict[str, str]
) -> None:
    """Before anything goes to the provider."""
    at, session = deployment.gateways[0].at, new_chat_id()
    status, data = await called(at, "chat", body_for("chat", session), session, **headers)
    assert (status, json.loads(data)["error"]["code"]) == (400, "invalid_request")
    assert await deployment.simulator.requests(session) == []
