"""The providers' answers over real sockets, through their SDKs: pumped as they are iterated."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import structs

from midstream.errors import ProviderError
from midstream.protocol.codec import encode
from midstream.protocol.messages import UIMessage
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.azure.provider import AzureAddress, AzureClient, AzureResponsesProvider
from midstream.providers.base import Provider, StepRequest, StepResult, ToolSpec
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.sdk_client import ClientOptions
from midstream.providers.stream.sse_step import TimeLimits
from midstream.providers.stream.tap import read_by_call
from tests.integration.endings.answers import call, end, text
from tests.support.scripted import EOF, OPEN, RESET, scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.stream.tap import Body
    from tests.support.scripted import Act, Scripted

pytestmark = pytest.mark.anyio

GAP: Final = 0.005
PROVIDERS: Final[dict[str, Callable[[str], Provider]]] = {
    "chat": lambda url: OpenAIChatProvider(options(f"{url}/v1")),
    "responses": lambda url: OpenAIResponsesProvider(options(f"{url}/v1")),
    "messages": lambda url: AnthropicProvider(options(url)),
    "azure": lambda url: AzureResponsesProvider(
        AzureClient(AzureAddress(base_url=url, api_version=None, by_deployment=False), options(url))
    ),
}
WIRES: Final = {"azure": "responses"}
"""The API of a provider, where it does not have its name."""


def options(base_url: str) -> ClientOptions:
    limits = TimeLimits(between_bytes_s=2.0)
    return ClientOptions(api_key="any", base_url=base_url, max_retries=0, limits=limits)


def cuts(frames: Sequence[bytes], size: int) -> list[Act]:
    """Return frames as network reads of a size, with gaps."""
    data = b"".join(frames)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [act for piece in pieces for act in (piece, GAP)]


def scripts(api: str) -> dict[str, list[Act]]:
    """Return answers in every state of health."""
    api = WIRES.get(api, api)
    said, called, last = text(api, "All ", "said."), call(api, "call_1"), end(api)
    half = b"".join(said)[:-9]
    return {
        "frame by frame": [act for each in [*said, *last] for act in (each, GAP)] + [EOF],
        "all at once": [b"".join([*said, *last]), EOF],
        "in pieces": [*cuts([*said, *last], 50), EOF],
        "a call": [*cuts(called, 200), *end(api, called=True), EOF],
        "no end of the body": [*said, *last, OPEN],
        "no last event": [*said, GAP, EOF],
        "half an event": [half, GAP, EOF],
        "a reset": [*said, 0.05, RESET],
        "a reset in an event": [half, 0.05, RESET],
        "a reset behind the last event": [*said, *last, GAP, RESET],
        "silence": [*said, OPEN],
        "nothing": [EOF],
        "an error": [*said, GAP, b'event: error\ndata: {"error": {"message": "no"}}\n\n', EOF],
        "no stream": [b'{"error": {"message": "busy"}}', EOF],
        "what is not JSON": [*said, b"data: {\n\n", *last, EOF],
    }


@asynccontextmanager
async def opened(api: str) -> AsyncIterator[tuple[Scripted, Provider]]:
    """A provider and its far end."""
    async with scripted() as far_end:
        provider = PROVIDERS[api](far_end.url)
        try:
            yield far_end, provider
        finally:
            await provider.close()


async def outcome(
    far_end: Scripted, provider: Provider, script: Sequence[Act], *, pumped: bool
) -> tuple[list[bytes], StepResult | None, str]:
    """Return a step's chunks, its result, and its error."""
    far_end.play("All of it?", script)
    said: list[AnyChunk] = []
    try:
        async with provider.open_step(asking()) as step:
            if pumped:
                await step.pump(lambda chunks: _take(said, chunks), _room)
            else:
                async for chunks in step:
                    said += chunks
    except ProviderError as error:
        return [encode(chunk) for chunk in said], None, repr(error)
    result = structs.replace(step.result, failure=None)
    return [encode(chunk) for chunk in said], result, repr(step.result.failure)


def _take(said: list[AnyChunk], chunks: list[AnyChunk]) -> bool:
    said += chunks
    return len(said) % 2 == 0


async def _room() -> None:
    await asyncio.sleep(GAP)


def asking() -> StepRequest:
    ids = itertools.count()
    question = b'{"id":"u","role":"user","parts":[{"type":"text","text":"All of it?"}]}'
    return StepRequest(
        model="odd-1",
        messages=[UIMessage.parse(question)],
        tools=[ToolSpec(name="weather")],
        new_id=lambda: f"id-{next(ids)}",
    )


@pytest.mark.parametrize("api", PROVIDERS)
async def test_pumped_answer_is_the_iterated_one(api: str) -> None:
    """The same chunks, the same result, and the same error."""
    seen: dict[str, Any] = {}
    async with opened(api) as (far_end, provider):
        for name, script in scripts(api).items():
            iterated = await outcome(far_end, provider, list(script), pumped=False)
            pumped = await outcome(far_end, provider, list(script), pumped=True)
            assert pumped == iterated, name
            seen[name] = iterated
    assert b"said." in b"".join(seen["in pieces"][0])
    assert seen["a call"][1].tool_calls
    assert "wait" in seen["silence"][2]


@pytest.mark.parametrize("api", PROVIDERS)
async def test_answer_is_read_by_call(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three APIs', with all that is said in it."""
    read: list[bytes] = []

    async def spied(body: Body, receive: Callable[[bytes], bool]) -> BaseException | None:
        def received(data: bytes) -> bool:
            read.append(data)
            return receive(data)

        return await read_by_call(body, received)

    monkeypatch.setattr("midstream.providers.stream.sse_step.read_by_call", spied)
    async with opened(api) as (far_end, provider):
        await outcome(far_end, provider, scripts(api)["frame by frame"], pumped=True)
    assert b"said." in b"".join(read)
