"""A body that ends without its protocol's last event: an answer that was cut, and what is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.endings.answers import APIS, RESPONSE, call, chat, end, text, wire
from tests.integration.endings.conftest import AGENTS
from tests.integration.endings.test_odd_streams import GAP, proxied
from tests.support.provider_calls import body_for
from tests.support.scripted import EOF, named, sse
from tests.support.sessions import Session, new_chat_id
from tests.support.snapshots import look, said

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess
    from tests.support.scripted import Act, Scripted

pytestmark = pytest.mark.anyio


def half(api: str) -> list[bytes]:
    """Return the frames of an answer that is cut in its words."""
    frames = text(api, "Half")
    return frames[:4] if api == "responses" else frames[:3]


@pytest.mark.parametrize("api", APIS)
async def test_cut_answer_is_interrupted_and_its_words_are_kept(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """For agents and callers; no error; the reason is the AI SDK's newest, and `other` in the
    chunk, because older clients stop at the word."""
    session = Session(gateway.at)
    provider.play(session.id, [*half(api), GAP, EOF], [*text(api, "All said."), *end(api), EOF])
    seen = await session.send(session.id, extra={"agent": AGENTS[api]})
    kept = await look(gateway.at, session.id)
    assert "error" not in seen.types
    assert (seen.text, kept["runs"][0]["outcome"], said(kept)) == ("Half", "interrupted", "Half")
    assert (seen.chunks[-1]["type"], seen.chunks[-1]["finishReason"]) == ("finish", "other")
    assert kept["messages"][1]["metadata"]["finishReason"] == "interrupted"

    again = {
        "id": session.id,
        "message": kept["messages"][0],
        "trigger": "regenerate-message",
        "messageId": kept["messages"][1]["id"],
        "agent": AGENTS[api],
    }
    async with gateway.at.request("POST", "/api/chat", again) as response:
        assert response.status == 200, await response.body()
        await response.body()
    kept = await look(gateway.at, session.id)
    assert (kept["runs"][-1]["outcome"], said(kept)) == ("finished", "All said.")

    kept = await proxied(gateway, provider, api, [*half(api), GAP, EOF])
    assert (kept["runs"][0]["outcome"], said(kept)) == ("interrupted", "Half")


@pytest.mark.parametrize("api", APIS)
async def test_tools_whose_input_was_whole_are_not_lost(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """They are executed once; the message that is sent again continues with their results."""
    session = Session(gateway.at)
    provider.play(
        session.id,
        [*call(api, "call_1"), GAP, EOF],
        [*text(api, "All said."), *end(api), EOF],
    )
    seen = await session.send(session.id, extra={"agent": AGENTS[api]})
    (output,) = [c for c in seen.chunks if c["type"] == "tool-output-available"]
    assert output["output"] == "sunny in Rome"
    kept = await look(gateway.at, session.id)
    assert kept["runs"][0]["outcome"] == "interrupted"

    body = {
        "id": session.id,
        "messages": kept["messages"],
        "trigger": "submit-message",
        "messageId": kept["messages"][1]["id"],
        "agent": AGENTS[api],
    }
    async with gateway.at.request("POST", "/api/chat", body) as response:
        assert response.status == 200, await response.body()
        await response.body()
    kept = await look(gateway.at, session.id)
    assert (kept["runs"][-1]["outcome"], said(kept)) == ("finished", "All said.")
    outputs = [p for p in kept["messages"][1]["parts"] if p["type"] == "tool-weather"]
    assert [part["output"] for part in outputs] == ["sunny in Rome"]


@pytest.mark.parametrize("api", ["chat", "compatible"])
async def test_tool_whose_arguments_had_not_come_is_not_executed(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """A call that is cut behind its name is not one without arguments."""
    session = Session(gateway.at)
    provider.play(session.id, [*call(api, "call_1", ""), GAP, EOF])
    seen = await session.send(session.id, extra={"agent": AGENTS[api]})
    assert "tool-output-available" not in seen.types
    kept = await look(gateway.at, session.id)
    (part,) = [p for p in kept["messages"][1]["parts"] if p["type"] == "tool-weather"]
    assert (part["state"], kept["runs"][0]["outcome"]) == ("output-error", "interrupted")


@pytest.mark.parametrize("api", APIS)
async def test_callers_turn_goes_on_behind_a_cut_call(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """The caller that has the whole call executes it: its SDK does not see the cut."""
    session = new_chat_id()
    provider.play(
        session,
        [*call(api, "t0", "{}"), GAP, EOF],
        [*text(api, "All said."), *end(api), EOF],
    )
    first = body_for(wire(api), session)
    second = _with_result(api, first)
    path = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}[wire(api)]
    for body in (first, second):
        headers = {"x-midstream-session": session, "x-midstream-run": "turn-1"}
        async with gateway.at.request(
            "POST",
            f"/proxy/{AGENTS[api]}/v1/{path}",
            body,
            headers={"authorization": "Bearer any", **headers},
        ) as response:
            assert response.status == 200, await response.body()
            await response.body()
    kept = await look(gateway.at, session)
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    (part,) = [p for p in kept["messages"][1]["parts"] if p["type"] == "tool-weather"]
    assert (part["state"], said(kept)) == ("output-available", "All said.")


def _with_result(api: str, first: dict[str, Any]) -> dict[str, Any]:
    if api == "responses":
        called = {"type": "function_call", "call_id": "t0", "name": "weather", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "t0", "output": "21"}
        asked = {"role": "user", "content": first["input"]}
        return {**first, "input": [asked, called, result]}
    if wire(api) == "chat":
        function = {"name": "weather", "arguments": "{}"}
        calls = [{"id": "t0", "type": "function", "function": function}]
        more: list[Any] = [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "t0", "content": "21"},
        ]
    else:
        used = {"type": "tool_use", "id": "t0", "name": "weather", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t0", "content": "21"}
        more = [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    return {**first, "messages": [*first["messages"], *more]}


def reasoned() -> list[bytes]:
    """Return the frames of a response that has thought, and is about to say something."""
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    at = {"output_index": 0, "item": item}
    return named(
        {"type": "response.created", "response": RESPONSE},
        {"type": "response.output_item.added", **at},
        {"type": "response.output_item.done", **at},
    )


CUTS: dict[str, list[bytes]] = {
    "in its words": [*text("responses", "Half")[:4]],
    "behind its words": [*text("responses", "Half")],
    "behind a thought": reasoned(),
    "behind a thought and a call": [*reasoned(), *call("responses", "call_1")[1:]],
    "in a call": [*reasoned(), *call("responses", "call_1")[1:3]],
    "by an error": [
        *text("responses", "Half"),
        *named({"type": "error", "code": "server_error", "message": "m"}),
    ],
}


@pytest.mark.parametrize("where", CUTS)
async def test_later_request_refers_to_nothing_of_a_response_that_was_cut(
    gateway: GatewayProcess, provider: Scripted, where: str
) -> None:
    """The provider has stored none of it, and refuses a request that names its items."""
    session = Session(gateway.at)
    provider.play(
        session.id,
        [*CUTS[where], GAP, EOF],
        [*text("responses", "All said."), *end("responses"), EOF],
    )
    await session.send(session.id, extra={"agent": AGENTS["responses"]})
    await look(gateway.at, session.id)
    before = len(provider.requests)
    await session.send(f"{session.id} again", extra={"agent": AGENTS["responses"]})
    (request,) = provider.requests[before:]
    assert request["input"][-1]["role"] == "user"
    told = json.dumps(request)
    assert not any(each in told for each in ("item_reference", "msg_1", "rs_1", "fc_call_1"))


@pytest.mark.parametrize("api", ["chat", "compatible"])
async def test_mark_without_a_reason_is_an_end(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Some servers send no `finish_reason`; `[DONE]` is the protocol's last event all the same."""
    for frames, called in (
        (sse(chat({"content": "All said."}), "[DONE]"), False),
        ([*call(api, "call_1"), *sse("[DONE]")], True),
    ):
        session = Session(gateway.at)
        first: list[Act] = [*frames, GAP, EOF]
        provider.play(session.id, first, [*text(api, "Sunny."), *end(api), EOF])
        seen = await session.send(session.id, extra={"agent": AGENTS[api]})
        kept = await look(gateway.at, session.id)
        assert (kept["runs"][0]["outcome"], "error" in seen.types) == ("finished", False)
        assert said(kept) == ("Sunny." if called else "All said.")
