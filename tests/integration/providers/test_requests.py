"""Requests of a whole gateway to its providers, and the answers in browsers."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from midstream import create_app
from midstream.settings.agents import AgentSettings
from midstream.settings.providers import ProviderSettings
from midstream.settings.sections import RedisSettings, Settings
from tests.support.recorder import recorder
from tests.unit.gateway.api.fakes import data_lines, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream import Gateway
    from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

HEADERS: Final = {"host": "localhost"}
PATHS: Final = {"anthropic": "", "openai": "/v1", "openai-chat": "/v1"}


@asynccontextmanager
async def _gateway(
    redis_url: str, far_end: Recorder, kind: str, agent: dict[str, Any]
) -> AsyncIterator[Gateway]:
    provider = {"kind": kind, "base_url": far_end.url + PATHS.get(kind, "")}
    settings = Settings(
        redis=RedisSettings(url=redis_url),
        providers={"theirs": msgspec.convert(provider | agent.pop("at", {}), ProviderSettings)},
        agents={"a": msgspec.convert({"provider": "theirs", **agent}, AgentSettings)},
    )
    app = create_app(settings)
    async with app.open():
        yield app


async def _send(app: Gateway, message_id: str = "u1", chat: str = "c1") -> list[Any]:
    """Send a message; return the chunks of its run."""
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    answer = await request(app, "POST", "/api/chat", {"id": chat, "messages": [message]}, HEADERS)
    assert answer.status == 200, answer.body
    return [line for line in data_lines(answer.body) if line != "[DONE]"]


async def test_tools_are_declared_with_the_options_of_settings_and_function(
    redis_url: str,
) -> None:
    """The settings come first; a client's tool has them too; the beta that they need is sent."""
    agent: dict[str, Any] = {
        "model": "claude-opus-4-8",
        "tools": ["tests.support.tools:measured"],
        "tool_options": {"measured": {"defer_loading": True}},
        "client_tools": {"where": {"cache_control": {"type": "ephemeral"}}},
        "provider_options": {"speed": "fast"},
    }
    async with recorder() as far_end, _gateway(redis_url, far_end, "anthropic", agent) as app:
        await _send(app)
    (sent,) = far_end.requests
    ours, client = sent.body["tools"]
    assert (ours["strict"], ours["defer_loading"]) == (True, True)
    assert ours["input_examples"] == [{"city": "Oslo"}]
    assert client["cache_control"] == {"type": "ephemeral"}
    assert sent.headers["anthropic-beta"].split(",") == [
        "advanced-tool-use-2025-11-20",
        "fast-mode-2026-02-01",
        "structured-outputs-2025-11-13",
    ]


@pytest.mark.parametrize("kind", ["openai", "openai-chat"])
async def test_strict_function_is_strict_at_openai(redis_url: str, kind: str) -> None:
    """In both of its APIs."""
    agent: dict[str, Any] = {"model": "gpt-4o", "tools": ["tests.support.tools:measured"]}
    async with recorder() as far_end, _gateway(redis_url, far_end, kind, agent) as app:
        await _send(app)
    (tool,) = far_end.requests[0].body["tools"]
    assert tool.get("function", tool)["strict"] is True


async def test_wrapped_calls_are_executed_each(redis_url: str) -> None:
    """A model that writes `multi_tool_use.parallel` has its two calls answered."""
    agent: dict[str, Any] = {"model": "gpt-4o", "tools": ["tests.support.tools:add"]}
    uses = [
        {"recipient_name": "functions.add", "parameters": {"one": one, "two": 1}} for one in (1, 2)
    ]
    async with recorder() as far_end, _gateway(redis_url, far_end, "openai-chat", agent) as app:
        far_end.calls.append(("multi_tool_use.parallel", {"tool_uses": uses}))
        chunks = await _send(app)
    assert [c["output"] for c in chunks if c["type"] == "tool-output-available"] == [2, 3]
    *_, call, one, two = far_end.requests[1].body["messages"]
    assert [each["function"]["name"] for each in call["tool_calls"]] == ["add", "add"]
    assert (one["content"], two["content"]) == ("2", "3")


IMAGE: Final = base64.b64encode(b"\x89PNG not really").decode()
SEEN: Final[dict[str, Any]] = {
    "anthropic": [
        {"type": "text", "text": "The map:"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": IMAGE},
        },
    ],
    "openai": [
        {"type": "input_text", "text": "The map:"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
    ],
    "openai-chat": [
        {"type": "text", "text": "The map:"},
        {"type": "file", "mediaType": "image/png", "data": {"type": "data", "data": IMAGE}},
    ],
}


def _result(kind: str, body: dict[str, Any]) -> Any:
    """Return the last result of a tool in a request."""
    if kind == "anthropic":
        return next(
            block["content"]
            for message in reversed(body["messages"])
            for block in message["content"]
            if block["type"] == "tool_result"
        )
    if kind == "openai":
        items = [item for item in body["input"] if item.get("type") == "function_call_output"]
        return items[-1]["output"]
    (message,) = (message for message in body["messages"] if message["role"] == "tool")
    return json.loads(message["content"])


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("kind", SEEN)
async def test_model_is_given_the_image_that_a_tool_returns(
    redis_url: str, kind: str, shown: bool
) -> None:
    """In the run itself and in the next one; people see JSON."""
    agent: dict[str, Any] = {"model": "m", "tools": ["tests.support.tools:draw"]}
    async with recorder() as far_end, _gateway(redis_url, far_end, kind, agent) as app:
        far_end.calls.append(("draw", {"shown": shown}))
        chunks = await _send(app)
        await _send(app, "u2")
    outputs = [chunk for chunk in chunks if chunk["type"] == "tool-output-available"]
    assert outputs[0]["output"] == "drawing"
    content = {"type": "content", "value": SEEN["openai-chat"]}
    assert outputs[-1]["output"] == ({"at": "/map.png"} if shown else content)
    _, after_call, next_run = far_end.requests
    assert _result(kind, after_call.body) == SEEN[kind]
    assert _result(kind, next_run.body) == SEEN[kind]


@pytest.mark.parametrize(
    ("kind", "at", "target"),
    [
        ("azure", {}, "/openai/responses"),
        ("azure-chat", {}, "/openai/chat/completions"),
        (
            "azure-chat",
            {"deployment_urls": True, "api_version": "2025-04-01-preview"},
            "/openai/deployments/mine/chat/completions?api-version=2025-04-01-preview",
        ),
    ],
)
async def test_azure_is_asked_at_its_address_with_its_key(
    redis_url: str, kind: str, at: dict[str, Any], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deployment is the model; OpenAI's own key stays here."""
    monkeypatch.setenv("AZURE_API_KEY", "azure-key")
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    async with recorder() as far_end:
        agent: dict[str, Any] = {
            "model": "mine",
            "tools": ["tests.support.tools:add"],
            "at": {"base_url": f"{far_end.url}/openai", **at},
        }
        far_end.calls.append(("add", {"one": 1, "two": 2}))
        async with _gateway(redis_url, far_end, kind, agent) as app:
            chunks = await _send(app)
    assert chunks[-1]["finishReason"] == "stop"
    for sent in far_end.requests:
        assert (sent.target, sent.body["model"]) == (target, "mine")
        assert sent.headers["api-key"] == "azure-key"
        assert "openai-key" not in str(sent.headers)
        assert "authorization" not in sent.headers


async def test_metadata_of_azures_answer_is_azures(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request refers to the items that Azure has stored."""
    monkeypatch.setenv("AZURE_API_KEY", "azure-key")
    async with recorder() as far_end:
        at = {"base_url": f"{far_end.url}/openai"}
        agent: dict[str, Any] = {"model": "mine", "tools": ["tests.support.tools:add"], "at": at}
        far_end.calls.append(("add", {"one": 1, "two": 2}))
        async with _gateway(redis_url, far_end, "azure", agent) as app:
            chunks = await _send(app)
            await _send(app, "u2")
    said = [chunk["providerMetadata"] for chunk in chunks if "providerMetadata" in chunk]
    assert said
    assert all(list(metadata) == ["azure"] for metadata in said)
    assert {"type": "item_reference", "id": "msg_2"} in far_end.requests[-1].body["input"]
