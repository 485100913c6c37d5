"""llama.cpp's own server behind the gateway, in all three of its APIs.

Its model repeats the request as the server's template shows it: tools, a result, and earlier
thoughts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Transcript

pytestmark = pytest.mark.anyio

APIS: Final = ("chat", "responses", "messages")
REMEMBERED: Final = "As I thought before."


def thought_of(message: dict[str, Any]) -> str:
    """Return a message's reasoning parts, joined."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "reasoning").strip()


async def said(session: Session, agent: str, text: str) -> tuple[Transcript, dict[str, Any]]:
    """Send a message; return its run, and the answer as the snapshot has it."""
    seen = await session.send(text, extra={"agent": agent})
    assert seen.chunks[-1]["type"] == "finish", seen.chunks[-1]
    assert "error" not in seen.types, [chunk for chunk in seen.chunks if chunk["type"] == "error"]
    message = (await session.snapshot())["messages"][-1]
    states = [part.get("state") for part in message["parts"] if "text" in part]
    assert set(states) <= {"done"}, states
    return seen, message


@pytest.mark.parametrize("api", APIS)
async def test_thinking_is_shown_live_and_given_back(over_llama: Deployment, api: str) -> None:
    """A first answer, and one that remembers what was thought."""
    session = over_llama.session()
    seen, message = await said(session, api, "Good morning!")
    assert seen.types.index("reasoning-delta") < seen.types.index("text-delta")
    assert thought_of(message) == "The person greets me."
    assert text_of(message) == "Good morning."
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert seen.chunks[-1]["messageMetadata"]["usage"]["outputTokens"] > 10

    _, later = await said(session, api, "And now?")
    assert thought_of(later) == "I still know my thoughts."
    assert text_of(later) == REMEMBERED


@pytest.mark.parametrize("api", APIS)
async def test_tool_is_called_and_its_result_read(over_llama: Deployment, api: str) -> None:
    """Words before the call, the result after it, and all of it in a later turn."""
    session = over_llama.session()
    seen, message = await said(session, f"{api}-tools", "How much is it?")
    calls = [part for part in message["parts"] if part["type"] == "tool-add"]
    assert [(call["input"], call["output"]) for call in calls] == [({"one": 20, "two": 22}, 42)]
    assert seen.types.index("tool-input-delta") < seen.types.index("tool-input-available")
    assert seen.types.count("start-step") == 2
    assert text_of(message).split() == ["One", "moment.", "It", "is", "forty-two."]
    assert "The tool has answered." in thought_of(message)

    _, later = await said(session, f"{api}-tools", "Sure?")
    assert text_of(later) == REMEMBERED


@pytest.mark.parametrize("api", APIS)
async def test_gateway_that_has_not_spoken_to_the_server_goes_on(
    over_llama: Deployment, api: str
) -> None:
    """It learns from the server what the other one has learned from it."""
    here = over_llama.session()
    await said(here, f"{api}-tools", "How much is it?")
    _, later = await said(here.through(over_llama.gateways[1].at), f"{api}-tools", "Sure?")
    assert text_of(later) == REMEMBERED


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("other", APIS)
async def test_conversation_goes_on_with_another_api(
    over_llama: Deployment, api: str, other: str
) -> None:
    """The other API gets the earlier thoughts and calls."""
    session = over_llama.session()
    await said(session, f"{other}-tools", "How much is it?")
    _, later = await said(session, api, "Sure?")
    assert text_of(later) == REMEMBERED


CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "chat": ("chat/completions", {"messages": [{"role": "user", "content": "Good morning!"}]}),
    "responses": ("responses", {"input": "Good morning!"}),
    "messages": (
        "v1/messages",
        {"messages": [{"role": "user", "content": "Good morning!"}], "max_tokens": 100},
    ),
}
"""API -> a call's path below the provider, and its body."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("api", APIS)
async def test_proxied_call_shows_the_thinking_in_its_session(
    over_llama: Deployment, api: str, stream: bool
) -> None:
    """The bytes that pass are the server's."""
    at, chat = over_llama.gateways[0].at, new_chat_id()
    path, body = CALLS[api]
    async with at.request(
        "POST",
        f"/proxy/llama-{api}/{path}",
        {**body, "model": "scripted", "stream": stream},
        headers={"authorization": "Bearer any", "x-midstream-session": chat},
    ) as response:
        data = await response.body()
        assert response.status == 200, data
    assert b"midstream" not in data
    session = Session(at, chat)
    await eventually(session.is_ended, "the run has ended")
    message = (await session.snapshot())["messages"][-1]
    assert thought_of(message) == "The person greets me."
    assert text_of(message) == "Good morning."
