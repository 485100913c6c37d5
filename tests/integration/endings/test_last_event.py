"""An answer ends with its protocol's last event, whatever its caller and its connection do then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.endings.answers import APIS, call, end, text, wire
from tests.integration.endings.conftest import AGENTS
from tests.support.provider_calls import body_for, events_in
from tests.support.scripted import COMMENTS, EOF, OPEN, RESET
from tests.support.sessions import Session, new_chat_id
from tests.support.snapshots import look, said

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess
    from tests.support.scripted import Act, Scripted

pytestmark = pytest.mark.anyio

AFTERWARDS: dict[str, list[Act]] = {
    "the end at once": [EOF],
    "the end a moment later": [0.02, EOF],
    "an open connection": [OPEN],
    "comments without end": [COMMENTS],
    "a reset": [0.01, RESET],
    "another API's mark": [b"data: [DONE]\n\n", 0.01, OPEN],
    "an error": [b'event: error\ndata: {"error": {"message": "late"}}\n\n', OPEN],
}
"""Bytes that may follow an answer's last event."""

PATHS = {
    "chat": "v1/chat/completions",
    "responses": "v1/responses",
    "messages": "v1/messages",
}


@pytest.mark.parametrize("api", APIS)
async def test_agents_answer_is_finished_whatever_follows_its_last_event(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Also the tools of a step are executed, and the next step comes at once."""
    for name, after in AFTERWARDS.items():
        session = Session(gateway.at)
        provider.play(
            session.id,
            [*call(api, "call_1"), *end(api, called=True), *after],
            [*text(api, "All ", "said."), *end(api), *after],
        )
        seen = await asyncio.wait_for(
            session.send(f"{session.id} Rome?", extra={"agent": AGENTS[api]}), 20
        )
        assert seen.text == "All said.", name
        (output,) = [c for c in seen.chunks if c["type"] == "tool-output-available"]
        assert output["output"] == "sunny in Rome", name
        assert (seen.chunks[-1]["type"], seen.chunks[-1]["finishReason"]) == ("finish", "stop")
        assert (await look(gateway.at, session.id))["runs"][-1]["outcome"] == "finished", name


@pytest.mark.parametrize("api", APIS)
async def test_callers_answer_ends_with_the_last_event_whatever_follows_it(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """The response is complete; the run is finished, and its turn goes on."""
    for name, after in AFTERWARDS.items():
        session = new_chat_id()
        frames = [*text(api, "All ", "said."), *end(api)]
        provider.play(session, [*frames, *after])
        async with gateway.at.request(
            "POST",
            f"/proxy/{AGENTS[api]}/{PATHS[wire(api)]}",
            body_for(wire(api), session),
            headers={"authorization": "Bearer any", "x-midstream-session": session},
        ) as response:
            data = await asyncio.wait_for(response.body(), 30)
        assert data.startswith(b"".join(frames)), name
        kept = await look(gateway.at, session)
        assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", "All said."), name
        assert kept["messages"][-1]["metadata"]["usage"]["totalTokens"] == 13


@pytest.mark.parametrize("api", ["chat", "compatible", "messages"])
async def test_caller_that_leaves_with_the_reason_has_all_of_the_answer(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """It breaks off its loop at `finish_reason`, or `stop_reason`: nothing more is said."""
    session = new_chat_id()
    reason, *_ = end(api)
    provider.play(session, [*text(api, "All ", "said."), reason, OPEN])
    async with gateway.at.request(
        "POST",
        f"/proxy/{AGENTS[api]}/{PATHS[wire(api)]}",
        body_for(wire(api), session),
        headers={"authorization": "Bearer any", "x-midstream-session": session},
    ) as response:
        data = b""
        async for piece in response.pieces():
            data += piece
            if reason in data:
                break
    kept = await look(gateway.at, session)
    assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", "All said.")


@pytest.mark.parametrize("api", APIS)
async def test_connection_whose_body_ends_soon_serves_the_next_request(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """The rest of the body is read in the background, and the answer does not wait for it."""
    connected = []
    for _ in range(5):
        session, ended = Session(gateway.at), provider.ended
        provider.play(session.id, [*text(api, "All said."), *end(api), 0.02, EOF])
        await session.send(session.id, extra={"agent": AGENTS[api]})
        await provider.until_ended(ended + 1)
        connected.append(provider.connections)
    assert connected[-1] - connected[0] < 4


async def test_errors_caller_that_leaves_with_it_does_not_hide_it(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """The official SDK raises at the error, and closes: the run has failed all the same."""
    session = new_chat_id()
    failed = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    provider.play(session, [*text("messages", "Half"), failed, OPEN])
    async with gateway.at.request(
        "POST",
        f"/proxy/{AGENTS['messages']}/{PATHS['messages']}",
        body_for("messages", session),
        headers={"authorization": "Bearer any", "x-midstream-session": session},
    ) as response:
        data = b""
        async for piece in response.pieces():
            data += piece
            if failed in data:
                break
    kept = await look(gateway.at, session)
    assert kept["runs"][0]["outcome"] == "failed"
    assert events_in(data)[-1]["type"] == "error"
