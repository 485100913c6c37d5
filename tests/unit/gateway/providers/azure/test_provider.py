"""The address of Azure's API, and the key that is sent there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.errors import ProviderRejectedError
from midstream.protocol.messages import UIMessage
from midstream.providers.azure.provider import (
    AzureAddress,
    AzureChatProvider,
    AzureClient,
    AzureResponsesProvider,
    azure_address,
)
from midstream.providers.base import StepRequest
from midstream.providers.sdk_client import ClientOptions
from tests.unit.gateway.providers.openai.upstream import Exchange, upstream

if TYPE_CHECKING:
    from midstream.providers.base import Provider


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"resource": "mine"},
            AzureAddress("https://mine.openai.azure.com/openai/v1", "v1"),
        ),
        (
            {"resource": "mine", "by_deployment": True},
            AzureAddress("https://mine.openai.azure.com/openai", "v1", by_deployment=True),
        ),
        (
            {"base_url": "https://mine.openai.azure.com/openai/"},
            AzureAddress("https://mine.openai.azure.com/openai/v1", "v1"),
        ),
        (
            {"base_url": "https://mine.cognitiveservices.azure.com/openai/v1/"},
            AzureAddress("https://mine.cognitiveservices.azure.com/openai/v1"),
        ),
        (
            {"base_url": "https://mine.services.ai.azure.com/api/projects/p/openai"},
            AzureAddress("https://mine.services.ai.azure.com/api/projects/p/openai/v1"),
        ),
        (
            {"base_url": "https://gateway.example/llm", "resource": "mine"},
            AzureAddress("https://gateway.example/llm"),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_address_is_the_ai_sdks(given: dict[str, object], expected: AzureAddress) -> None:
    """A resource, a base URL with and without its version, a project, somebody's gateway."""
    usual = {"resource": "", "base_url": "", "api_version": "v1", "by_deployment": False}
    assert azure_address(**usual | given) == expected  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_azure_without_a_key_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another provider's, in the environment, does not do."""
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    address = AzureAddress("https://mine.openai.azure.com/openai/v1", "v1")
    client = AzureClient(address, ClientOptions(max_retries=0))
    with pytest.raises(ProviderRejectedError):
        await client.warm_up()
    await client.close()


def _said(role: str, *parts: dict[str, Any]) -> UIMessage:
    message = {"id": role, "role": role, "parts": parts}
    return UIMessage.parse(json.dumps(message).encode())


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's OpenAI is another server, which says nothing of Azure."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://inference.example/v1")


HISTORY: Final = StepRequest(
    model="gpt-5",
    messages=[
        _said("user", {"type": "text", "text": "Hi"}),
        _said(
            "assistant",
            {"type": "step-start"},
            {"type": "reasoning", "text": "Greet.", "state": "done"},
            {"type": "text", "text": "Hello.", "state": "done"},
        ),
        _said("user", {"type": "text", "text": "Again"}),
    ],
    parameters={"max_output_tokens": 9},
    new_id=lambda: "made-up",
)


async def _ask(
    kind: type[Provider], status: int, asked: list[Exchange], *, by_deployment: bool = False
) -> None:
    """Make a step at somebody's gateway before Azure; `asked` gets what it was sent."""

    async def answer(exchange: Exchange) -> None:
        asked.append(exchange)
        if status != 200:
            await exchange.refuse(status, b'{"error":{"message":"no"}}')
            return
        await exchange.begin()
        choice = {"delta": {"content": "Hi", "reasoning": "Hm."}, "finish_reason": "stop"}
        await exchange.send({"id": "c", "model": "m", "choices": [choice]})
        await exchange.end()

    async with upstream(answer) as base_url:
        address = AzureAddress(base_url, "v1", by_deployment=by_deployment)
        client = AzureClient(address, ClientOptions(api_key="k", max_retries=0))
        provider = kind(client)  # type: ignore[call-arg]
        try:
            async with provider.open_step(HISTORY) as step:
                chunks = [chunk async for some in step for chunk in some]
                assert not any("Reasoning" in type(chunk).__name__ for chunk in chunks)
        finally:
            await provider.close()


@pytest.mark.anyio
@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("by_deployment", [False, True])
async def test_azure_is_openai_whatever_its_address_is(by_deployment: bool) -> None:
    """Its names for OpenAI's own models, and no thinking that goes back."""
    asked: list[Exchange] = []
    await _ask(AzureChatProvider, 200, asked, by_deployment=by_deployment)
    place = "/v1/deployments/gpt-5" if by_deployment else "/v1"
    (sent,) = asked
    assert sent.path == f"{place}/chat/completions?api-version=v1"
    assert sent.body["messages"][1] == {"role": "assistant", "content": "Hello."}
    assert sent.body["max_completion_tokens"] == 9


@pytest.mark.anyio
@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("kind", [AzureChatProvider, AzureResponsesProvider])
async def test_azures_refusal_is_final(kind: type[Provider]) -> None:
    """It is no server that might take another form."""
    asked: list[Exchange] = []
    with pytest.raises(ProviderRejectedError):
        await _ask(kind, 400, asked)
    assert len(asked) == 1
