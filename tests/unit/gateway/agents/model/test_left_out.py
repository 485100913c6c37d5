"""A file that its provider refuses, on each of the three wires, over real sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest
from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.model.left_out import KEPT, Refused, _files
from midstream.errors import ProviderRejectedError
from midstream.ids import RunId, SessionId, UserId
from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.messages import UIMessage
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.sdk_client import ClientOptions
from tests.unit.gateway.providers.openai.upstream import Exchange, upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.providers.base import Provider

    AgentOf = Callable[[str, str], ModelAgent]

pytestmark = pytest.mark.anyio

GOOD: Final = "iVBORw0KGgogoodgoodgood="
BAD: Final = "iVBORw0KGgobadbadbadbad="
USAGE: Final = {"input_tokens": 3, "output_tokens": 1}
WIRES: Final[dict[str, Callable[[str], Provider]]] = {
    "messages": lambda url: AnthropicProvider(
        ClientOptions(api_key="k", base_url=url.removesuffix("/v1"), max_retries=0)
    ),
    "responses": lambda url: OpenAIResponsesProvider(
        ClientOptions(api_key="k", base_url=url, max_retries=0)
    ),
    "chat": lambda url: OpenAIChatProvider(ClientOptions(api_key="k", base_url=url, max_retries=0)),
}
ANSWERS: Final[dict[str, list[dict[str, Any]]]] = {
    "messages": [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Seen."},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
        {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "message", "id": "t"},
        },
        {
            "type": "response.output_text.delta",
            "item_id": "t",
            "output_index": 0,
            "delta": "Seen.",
        },
        {"type": "response.completed", "response": {"id": "r", "usage": None}},
    ],
    "chat": [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Seen."}}]},
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
}


def place(node: Any, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Return where in a request the bad picture is."""
    if isinstance(node, str):
        return path if node.endswith(BAD) else None
    if not isinstance(node, dict | list):
        return None
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return next(filter(None, (place(each, (*path, key)) for key, each in items)), None)


def refusal(wire: str, path: tuple[str | int, ...], *, names: bool) -> bytes:
    """Return how a provider refuses what stands at a path."""
    if wire == "messages":
        where = ".".join(str(each) for each in (*path[:4], "image", *path[4:]))
        said = f"{where}: Could not process image" if names else "Could not process image"
        error: dict[str, Any] = {"type": "invalid_request_error", "message": said}
        return json.dumps({"type": "error", "error": error}).encode()
    where = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    error = {"message": "Invalid image.", "type": "invalid_request_error", "code": "invalid_image"}
    return json.dumps({"error": {**error, "param": where[1:] if names else None}}).encode()


class Model:
    """A provider that reads no picture that is bad, and keeps what it was sent."""

    def __init__(self, wire: str, *, names: bool = True, status: int = 400) -> None:
        self.bodies: list[Any] = []
        self._wire, self._names, self._status = wire, names, status

    async def __call__(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.body)
        path = place(exchange.body)
        if path is not None:
            body = refusal(self._wire, path, names=self._names)
            await exchange.refuse(self._status, body, "content-type: application/json")
            return
        await exchange.begin()
        await exchange.send(*ANSWERS[self._wire])
        await exchange.end()


def said(key: str, text: str, *files: tuple[str, str]) -> UIMessage:
    """Return a user's message with pictures, each a name and its content."""
    parts: list[dict[str, Any]] = [
        {
            "type": "file",
            "mediaType": "image/png",
            "filename": name,
            "url": f"data:image/png;base64,{content}",
        }
        for name, content in files
    ]
    parts.append({"type": "text", "text": text})
    return UIMessage.parse(json.dumps({"id": key, "role": "user", "parts": parts}).encode())


async def ask(agent: ModelAgent, *history: UIMessage) -> str:
    """Return what the agent answers."""
    request = AgentRequest(
        session_id=SessionId("s"),
        run_id=RunId("r"),
        message_id="m",
        user=UserId("u"),
        history=history,
        model=None,
        body=Raw(b"{}"),
        new_id=iter(map(str, range(1000))).__next__,
    )
    chunks = [chunk async for chunks in agent.stream(request) for chunk in chunks]
    return "".join(chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk))


@pytest.fixture
async def agent_of() -> AsyncIterator[Callable[[str, str], ModelAgent]]:
    """Makes agents, each as a process has it that has just started."""
    providers: list[Provider] = []

    def make(wire: str, url: str) -> ModelAgent:
        providers.append(WIRES[wire](url))
        return ModelAgent(ModelAgentConfig(name="a", model="gpt-4o"), providers[-1])

    yield make
    for provider in providers:
        await provider.close()


PICTURES: Final = said("u1", "What is this?", ("good.png", GOOD), ("bad.png", BAD))
LATER: Final = said("u2", "And now?")


@pytest.mark.parametrize("wire", WIRES)
async def test_refused_file_is_named_once_and_left_out_after_that(
    wire: str, agent_of: AgentOf
) -> None:
    """The other picture is still shown; a new process asks once more, silently."""
    model = Model(wire)
    async with upstream(model) as url:
        agent = agent_of(wire, url)
        with pytest.raises(ProviderRejectedError, match=r"“bad\.png”"):
            await ask(agent, PICTURES)
        assert await ask(agent, PICTURES, LATER) == "Seen."
        assert len(model.bodies) == 2
        last = json.dumps(model.bodies[-1], ensure_ascii=False)
        assert GOOD in last
        assert "the file “bad.png” is left out" in last

        assert await ask(agent_of(wire, url), PICTURES, LATER) == "Seen."
        assert len(model.bodies) == 4
        assert GOOD in json.dumps(model.bodies[-1])


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("wire", WIRES)
async def test_refusal_that_names_nothing_leaves_out_all_earlier_files(
    wire: str, status: int, agent_of: AgentOf
) -> None:
    """The newest message keeps its files: its person gets the refusal."""
    model = Model(wire, names=False, status=status)
    async with upstream(model) as url:
        agent = agent_of(wire, url)
        with pytest.raises(ProviderRejectedError) as refused:
            await ask(agent, PICTURES)
        assert "bad.png" not in refused.value.message
        assert await ask(agent, PICTURES, LATER) == "Seen."
        last = json.dumps(model.bodies[-1])
        assert GOOD not in last
        assert "And now?" in last


@pytest.mark.parametrize("wire", WIRES)
async def test_refusal_of_a_conversation_without_files_is_told_as_it_is(
    wire: str, agent_of: AgentOf
) -> None:
    """Nothing is sent twice in vain."""

    async def refuse(exchange: Exchange) -> None:
        seen.append(exchange)
        await exchange.refuse(400, b"{}", "content-type: application/json")

    seen: list[Exchange] = []
    async with upstream(refuse) as url:
        with pytest.raises(ProviderRejectedError):
            await ask(agent_of(wire, url), LATER)
    assert len(seen) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_refused_key_is_not_taken_for_a_refused_file(wire: str, agent_of: AgentOf) -> None:
    """A 401 says nothing about the files."""
    model = Model(wire, names=False, status=401)
    async with upstream(model) as url:
        with pytest.raises(ProviderRejectedError, match="credentials"):
            await ask(agent_of(wire, url), PICTURES, LATER)
    assert len(model.bodies) == 1


def test_process_remembers_the_newest_refused_files_alone() -> None:
    """No conversation can make it remember without bound."""
    refused = Refused()
    files = [
        next(_files(said("u", "", ("a.png", f"{number:04}"))))  # all of one size
        for number in range(KEPT + 1)
    ]
    for file in files:
        refused.add(file)
    assert len(refused) == KEPT
    assert files[0] not in refused
    assert files[-1] in refused
