"""Both OpenAI providers over real sockets: what they send, yield, raise, and let go of."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream.errors import (
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from midstream.protocol.chunks import StartStepChunk, TextDeltaChunk
from midstream.protocol.messages import UIMessage
from midstream.providers.base import StepRequest
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.sdk_client import ClientOptions
from midstream.providers.stream.sse_step import TimeLimits
from tests.unit.gateway.providers.openai.upstream import Exchange, provider_at, upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.protocol.chunks import AnyChunk

CREATED = {"type": "response.created", "response": {"id": "r", "created_at": 1, "model": "m"}}
ITEM = {
    "type": "response.output_item.added",
    "output_index": 0,
    "item": {"type": "message", "id": "t"},
}
CHAT_TEXT = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
SECRET = "sk-secret-of-the-provider"  # noqa: S105

Provider = OpenAIChatProvider | OpenAIResponsesProvider
BOTH = pytest.mark.parametrize("make", [OpenAIChatProvider, OpenAIResponsesProvider])


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "t", "output_index": 0, "delta": text}


def request() -> StepRequest:
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    return StepRequest(
        model="gpt-4o",
        messages=[UIMessage.parse(json.dumps(message).encode())],
        new_id=lambda: "made-up",
    )


async def with_provider(
    make: Callable[..., Provider],
    answer: Callable[[Exchange], Awaitable[None]],
    use: Callable[[Provider], Awaitable[Any]],
    **settings: Any,
) -> Any:
    async with upstream(answer) as base_url:
        provider = provider_at(make, base_url, **settings)
        try:
            return await use(provider)
        finally:
            await provider.close()


async def whole_step(provider: Provider) -> tuple[list[list[AnyChunk]], Any]:
    async with provider.open_step(request()) as step:
        return [chunks async for chunks in step], step.result


def events_for(make: type[Provider]) -> list[dict[str, Any]]:
    return [CHAT_TEXT] if make is OpenAIChatProvider else [CREATED, ITEM, delta("Hi")]


@BOTH
def test_provider_sends_the_request_and_yields_the_answer(make: type[Provider]) -> None:
    """The request goes to the API's path; text and the interruption of a cut come back."""
    seen: list[Exchange] = []

    async def answer(exchange: Exchange) -> None:
        seen.append(exchange)
        await exchange.begin()
        await exchange.send(*events_for(make))
        await exchange.end()

    lists, result = asyncio.run(with_provider(make, answer, whole_step))
    chunks = [chunk for chunks in lists for chunk in chunks]
    assert isinstance(chunks[0], StartStepChunk)
    assert [chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk)] == ["Hi"]
    assert result.finish_reason == "interrupted"
    path = "/v1/chat/completions" if make is OpenAIChatProvider else "/v1/responses"
    assert [exchange.path for exchange in seen] == [path]
    assert seen[0].body["stream"] is True


@BOTH
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRejectedError),
        (401, ProviderRejectedError),
        (404, ProviderRejectedError),
        (429, ProviderRateLimitedError),
        (500, ProviderUnavailableError),
        (503, ProviderUnavailableError),
    ],
)
def test_provider_raises_by_status_and_quotes_nothing(
    make: Callable[..., Provider], status: int, error: type[ProviderError]
) -> None:
    """An HTTP error is one of ours, without a word of the provider's."""
    body = json.dumps({"error": {"message": SECRET, "type": "x", "code": SECRET}}).encode()

    async def answer(exchange: Exchange) -> None:
        await exchange.refuse(status, body, "content-type: application/json")

    with pytest.raises(error) as raised:
        asyncio.run(with_provider(make, answer, whole_step))
    assert SECRET not in raised.value.message


@BOTH
def test_provider_retries_before_the_answer_begins(make: type[Provider]) -> None:
    """The SDK tries again after an overload; the step is that of the second answer."""
    attempts: list[str] = []

    async def answer(exchange: Exchange) -> None:
        attempts.append(exchange.path)
        if len(attempts) == 1:
            await exchange.refuse(503, b"{}", "retry-after-ms: 1")
            return
        await exchange.begin()
        await exchange.send(*events_for(make))
        await exchange.end()

    asyncio.run(with_provider(make, answer, whole_step, max_retries=1))
    assert len(attempts) == 2


@BOTH
def test_leaving_the_step_closes_the_connection(make: type[Provider]) -> None:
    """The far end sees the connection close while the provider itself stays in use."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*events_for(make))
        await exchange.wait_left()
        left.set()

    async def use(provider: Provider) -> None:
        async with provider.open_step(request()) as step:
            async for _ in step:
                break
        await asyncio.wait_for(left.wait(), 30)

    asyncio.run(with_provider(make, answer, use))


@BOTH
def test_cancelling_a_silent_step_closes_the_connection(make: type[Provider]) -> None:
    """A stop does not wait for the provider's next byte."""
    left, begun = asyncio.Event(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*events_for(make)[:1])
        begun.set()
        await exchange.wait_left()
        left.set()

    async def use(provider: Provider) -> None:
        task = asyncio.create_task(whole_step(provider))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 30)

    asyncio.run(with_provider(make, answer, use))


@BOTH
def test_lost_connection_is_raised_by_the_iterator(make: type[Provider]) -> None:
    """The events before the loss were yielded."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*events_for(make))
        await came.wait()
        exchange.reset()

    async def use(provider: Provider) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        async with provider.open_step(request()) as step:
            with pytest.raises(ProviderUnavailableError):
                async for some in step:
                    chunks += some
                    came.set()
        return chunks

    came = asyncio.Event()
    chunks = asyncio.run(with_provider(make, answer, use))
    assert any(isinstance(chunk, TextDeltaChunk) for chunk in chunks)


@BOTH
def test_silence_ends_at_the_limit(make: type[Provider]) -> None:
    """Silence within the answer is an error once the limit is over."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.wait_left()

    with pytest.raises(ProviderUnavailableError):
        limits = TimeLimits(between_bytes_s=0.05)
        asyncio.run(with_provider(make, answer, whole_step, limits=limits))


def test_responses_error_right_after_the_beginning_leaves_no_step() -> None:
    """OpenAI reports a used-up quota after `response.created`: the message gets no step."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(CREATED)
        error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": SECRET}
        await exchange.send({"type": "error", "sequence_number": 2, "error": error})
        await exchange.end()

    lists, result = asyncio.run(with_provider(OpenAIResponsesProvider, answer, whole_step))
    assert lists == []
    assert isinstance(result.failure, ProviderRejectedError)
    assert SECRET not in result.failure.message


def test_responses_step_is_shown_while_the_model_thinks() -> None:
    """A response that has begun and goes on silently shows its step."""
    shown = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(CREATED)
        await shown.wait()
        await exchange.send(ITEM, delta("Hi"))
        await exchange.end()

    async def use(provider: Provider) -> list[list[AnyChunk]]:
        lists: list[list[AnyChunk]] = []
        async with provider.open_step(request()) as step:
            async for chunks in step:
                lists.append(chunks)
                shown.set()
        return lists

    lists = asyncio.run(with_provider(OpenAIResponsesProvider, answer, use))
    assert lists[0] == [StartStepChunk()]
    assert len(lists[1]) == 2


def test_chat_provider_needs_no_key_for_a_compatible_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A local server without keys is reached; OpenAI itself is not tried without one."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(CHAT_TEXT)
        await exchange.end()

    async def use(_: Provider) -> None:
        with pytest.raises(ProviderRejectedError):
            await whole_step(OpenAIChatProvider())

    asyncio.run(with_provider(OpenAIChatProvider, answer, whole_step, api_key=None))
    asyncio.run(with_provider(OpenAIChatProvider, answer, use))


@BOTH
def test_provider_that_is_warmed_up_without_a_key_says_so(make: type[Provider]) -> None:
    """Before the first message, and not as a bug."""

    async def warm_up() -> None:
        provider = make(ClientOptions())
        try:
            await provider.warm_up()
        finally:
            await provider.close()

    with pytest.raises(ProviderRejectedError):
        asyncio.run(warm_up())
