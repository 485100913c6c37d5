"""The Anthropic provider over real sockets: what it sends, yields, raises and lets go of."""

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
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.base import StepRequest, ToolSpec
from midstream.providers.stream.sse_step import TimeLimits
from tests.unit.gateway.providers.openai.upstream import Exchange, provider_at, upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.protocol.chunks import AnyChunk

SECRET = "sk-ant-and-what-was-said"  # noqa: S105
MESSAGE = {"id": "m", "model": "claude-x", "usage": {"input_tokens": 3, "output_tokens": 1}}
HELLO: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hi"},
    },
]
ENDING: list[dict[str, Any]] = [
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 5},
    },
    {"type": "message_stop"},
]


def request(**fields: Any) -> StepRequest:
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    return StepRequest(
        **{
            "model": "claude-sonnet-4-5",
            "messages": [UIMessage.parse(json.dumps(message).encode())],
            "new_id": lambda: "made-up",
            **fields,
        }
    )


async def with_provider(
    answer: Callable[[Exchange], Awaitable[None]],
    use: Callable[[AnthropicProvider], Awaitable[Any]],
    **settings: Any,
) -> Any:
    async with upstream(answer) as base_url:
        root = base_url.removesuffix("/v1")
        provider = provider_at(AnthropicProvider, root, **settings)
        try:
            return await use(provider)
        finally:
            await provider.close()


async def whole_step(provider: AnthropicProvider) -> tuple[list[AnyChunk], Any]:
    async with provider.open_step(request()) as step:
        return [chunk async for chunks in step for chunk in chunks], step.result


def test_provider_sends_the_request_and_yields_the_answer() -> None:
    """The request goes to the Messages API; text, ending and usage come back."""
    seen: list[Exchange] = []

    async def answer(exchange: Exchange) -> None:
        seen.append(exchange)
        await exchange.begin()
        await exchange.send(*HELLO, *ENDING)
        await exchange.end()

    chunks, result = asyncio.run(with_provider(answer, whole_step))
    assert isinstance(chunks[0], StartStepChunk)
    assert [chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk)] == ["Hi"]
    assert (result.finish_reason, result.usage.total_tokens) == ("stop", 8)
    assert [exchange.path for exchange in seen] == ["/v1/messages"]
    assert seen[0].body["stream"] is True


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRejectedError),
        (401, ProviderRejectedError),
        (404, ProviderRejectedError),
        (429, ProviderRateLimitedError),
        (500, ProviderUnavailableError),
        (529, ProviderRateLimitedError),
    ],
)
def test_provider_raises_by_status_and_quotes_nothing(
    status: int, error: type[ProviderError]
) -> None:
    """An HTTP error is one of ours, without a word of the provider's."""
    body = json.dumps({"type": "error", "error": {"type": SECRET, "message": SECRET}}).encode()

    async def answer(exchange: Exchange) -> None:
        await exchange.refuse(status, body, "content-type: application/json")

    with pytest.raises(error) as raised:
        asyncio.run(with_provider(answer, whole_step, api_key=SECRET))
    assert SECRET not in raised.value.message


def test_provider_that_cannot_be_reached_is_unavailable() -> None:
    """A refused connection is such an error, without the address."""

    async def run() -> None:
        provider = provider_at(AnthropicProvider, "http://127.0.0.1:1")
        try:
            await whole_step(provider)
        finally:
            await provider.close()

    with pytest.raises(ProviderUnavailableError, match="unable to reach") as raised:
        asyncio.run(run())
    assert "127.0.0.1" not in raised.value.message


def test_provider_retries_before_the_answer_begins() -> None:
    """The SDK tries again after an overload; the step is that of the second answer."""
    attempts: list[str] = []

    async def answer(exchange: Exchange) -> None:
        attempts.append(exchange.path)
        if len(attempts) == 1:
            await exchange.refuse(529, b"{}", "retry-after-ms: 1")
            return
        await exchange.begin()
        await exchange.send(*HELLO, *ENDING)
        await exchange.end()

    asyncio.run(with_provider(answer, whole_step, max_retries=1))
    assert len(attempts) == 2


def test_leaving_the_step_closes_the_connection() -> None:
    """The far end sees the connection close while the provider itself stays in use."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*HELLO)
        await exchange.wait_left()
        left.set()

    async def use(provider: AnthropicProvider) -> None:
        async with provider.open_step(request()) as step:
            async for _ in step:
                break
        await asyncio.wait_for(left.wait(), 30)

    asyncio.run(with_provider(answer, use))


@pytest.mark.parametrize("after", ["nothing", "the head", "a chunk"])
def test_cancelling_a_silent_step_closes_the_connection(after: str) -> None:
    """A stop does not wait for the provider's next byte, not even for its first."""
    left, silent = asyncio.Event(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        if after != "nothing":
            await exchange.begin()
        if after == "a chunk":
            await exchange.send(*HELLO)
        silent.set()
        await exchange.wait_left()
        left.set()

    async def use(provider: AnthropicProvider) -> None:
        task = asyncio.create_task(whole_step(provider))
        await silent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 30)

    asyncio.run(with_provider(answer, use))


def test_connection_of_a_step_that_was_read_is_used_again() -> None:
    """A second step costs no second connection."""
    ports: set[object] = set()

    async def answer(exchange: Exchange) -> None:
        ports.add(exchange._writer.get_extra_info("peername"))
        await exchange.begin()
        await exchange.send(*HELLO, *ENDING)
        await exchange.end()

    async def use(provider: AnthropicProvider) -> None:
        await whole_step(provider)
        await whole_step(provider)

    asyncio.run(with_provider(answer, use))
    assert len(ports) == 1


def test_lost_connection_is_raised_by_the_iterator() -> None:
    """The events before the loss were yielded."""
    came = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*HELLO)
        await came.wait()
        exchange.reset()

    async def use(provider: AnthropicProvider) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        async with provider.open_step(request()) as step:
            with pytest.raises(ProviderUnavailableError):
                async for some in step:
                    chunks += some
                    came.set()
        return chunks

    chunks = asyncio.run(with_provider(answer, use))
    assert any(isinstance(chunk, TextDeltaChunk) for chunk in chunks)


def test_silence_ends_at_the_limit() -> None:
    """A request that is never answered is an error once the limit is over."""

    async def answer(exchange: Exchange) -> None:
        await exchange.wait_left()

    with pytest.raises(ProviderUnavailableError):
        limits = TimeLimits(first_byte_s=0.05)
        asyncio.run(with_provider(answer, whole_step, limits=limits))


def test_anthropic_is_not_tried_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in settings or environment, the operator gets an error."""
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", "/nowhere")
    with pytest.raises(ProviderRejectedError, match="credentials"):
        asyncio.run(whole_step(AnthropicProvider()))


def test_compatible_server_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local server without keys is reached."""
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", "/nowhere")

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*HELLO, *ENDING)
        await exchange.end()

    _, result = asyncio.run(with_provider(answer, whole_step, api_key=None))
    assert result.finish_reason == "stop"


def test_declared_tools_are_known_to_the_answer() -> None:
    """A call of a declared tool is the agent's to execute; others are errors."""
    call = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}
    events = [
        HELLO[0],
        {"type": "content_block_start", "index": 0, "content_block": call},
        *ENDING,
    ]

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*events)
        await exchange.end()

    async def use(provider: AnthropicProvider) -> Any:
        async with provider.open_step(request(tools=[ToolSpec(name="add")])) as step:
            async for _ in step:
                pass
            return step.result

    result = asyncio.run(with_provider(answer, use))
    assert [(call.name, bytes(call.input)) for call in result.tool_calls] == [("add", b'{"a":1}')]
