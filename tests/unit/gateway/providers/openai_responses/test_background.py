"""A response in the background over real sockets: lost, found again, given up, cancelled."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream.errors import ProviderRejectedError, ProviderUnavailableError
from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.messages import UIMessage
from midstream.providers.base import StepRequest
from midstream.providers.failures.errors import Fault
from midstream.providers.openai_responses import background as openai_background
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from tests.unit.gateway.providers.openai.upstream import Exchange, provider_at, upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.protocol.chunks import AnyChunk

EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "created_at": 1, "model": "m"}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "message", "id": "t"},
    },
    *(
        {
            "type": "response.output_text.delta",
            "item_id": "t",
            "output_index": 0,
            "delta": letter,
        }
        for letter in "abcdef"
    ),
    {
        "type": "response.output_item.done",
        "output_index": 0,
        "item": {"type": "message", "id": "t"},
    },
    {"type": "response.completed", "response": {"id": "resp_1", "usage": None}},
]
NUMBERED = [{**event, "sequence_number": number} for number, event in enumerate(EVENTS)]


class Memory:
    """The points that a step has remembered."""

    def __init__(self, point: bytes = b"") -> None:
        self.point = point
        self.points: list[dict[str, Any]] = []
        self.required: list[bool] = []

    async def remember(self, point: bytes, *, required: bool) -> None:
        self.points.append(json.loads(point))
        self.required.append(required)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(openai_background, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))


def play(
    answer: Callable[[Exchange], Awaitable[None]], memory: Memory, **settings: Any
) -> list[AnyChunk]:
    """Run a step against a far end."""

    async def run() -> list[AnyChunk]:
        async with upstream(answer) as base_url:
            provider = provider_at(OpenAIResponsesProvider, base_url, **settings)
            try:
                async with provider.open_step(asked(memory)) as step:
                    return [chunk async for chunks in step for chunk in chunks]
            finally:
                await provider.close()

    return asyncio.run(run())


def asked(memory: Memory) -> StepRequest:
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    return StepRequest(
        model="gpt-5",
        messages=[UIMessage.parse(json.dumps(message).encode())],
        provider_options={"background": True},
        new_id=lambda: "made-up",
        memory=memory,
    )


def text_of(chunks: list[AnyChunk]) -> str:
    return "".join(chunk.delta for chunk in chunks if isinstance(chunk, TextDeltaChunk))


class FarEnd:
    """Sends a response, and breaks off after some of its events each time."""

    def __init__(self, *lengths: int, backwards: int = 0) -> None:
        self.seen: list[Exchange] = []
        self._lengths = list(lengths)
        self._backwards = backwards

    async def __call__(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        _, _, after = exchange.path.partition("starting_after=")
        start = int(after) + 1 - self._backwards if after else 0
        length = self._lengths.pop(0) if self._lengths else len(NUMBERED)
        await exchange.begin()
        await exchange.send(*NUMBERED[start : start + length])
        if start + length >= len(NUMBERED):
            await exchange.end()
        else:
            exchange.reset()


def test_lost_connection_is_made_again_after_the_last_event() -> None:
    """As often as it takes while it brings something; each event is translated once."""
    far_end = FarEnd(4, 1, 1, 1, 1)
    chunks = play(far_end, Memory())

    assert text_of(chunks) == "abcdef"
    assert [exchange.path for exchange in far_end.seen] == [
        "/v1/responses",
        *(f"/v1/responses/resp_1?stream=true&starting_after={after}" for after in range(3, 8)),
    ]
    assert far_end.seen[0].body["background"] is True


def test_events_that_come_again_are_passed_over() -> None:
    """A far end that counts otherwise makes no word appear twice."""
    assert text_of(play(FarEnd(4, backwards=2), Memory())) == "abcdef"


def test_response_is_given_up_when_nothing_new_comes() -> None:
    """After so many connections in a row."""
    far_end = FarEnd(4, 0, 0, 0, 0, 0)
    with pytest.raises(ProviderUnavailableError) as raised:
        play(far_end, Memory())

    assert raised.value.message == Fault.LOST.error().message
    assert len(far_end.seen) == 1 + len(openai_background.RETRY_DELAYS_S)


def test_id_is_kept_before_anything_of_the_response_is_seen() -> None:
    """And must be; how far it was read is kept now and then, and need not be."""
    memory = Memory()
    play(FarEnd(), memory)
    assert (memory.points[0], memory.required[0]) == ({"id": "resp_1"}, True)
    assert not any(memory.required[1:])


def test_response_of_another_process_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the point that it kept: only what follows is asked for, and yielded."""
    monkeypatch.setattr(openai_background, "POINT_INTERVAL_S", 0.0)
    memory = Memory()
    with pytest.raises(ProviderUnavailableError):
        play(FarEnd(5, 0, 0, 0, 0), memory)
    left = memory.points[-1]
    assert left["sequence"] == 4

    far_end = FarEnd()
    chunks = play(far_end, Memory(json.dumps(left).encode()))

    assert text_of(chunks) == "def"
    assert [exchange.path for exchange in far_end.seen] == [
        "/v1/responses/resp_1?stream=true&starting_after=4"
    ]


def test_response_that_the_provider_has_no_more_is_said_to_be_gone() -> None:
    """It is not asked for again."""
    asked_for: list[str] = []

    async def answer(exchange: Exchange) -> None:
        asked_for.append(exchange.path)
        await exchange.refuse(404, b'{"error":{"message":"secret"}}')

    with pytest.raises(ProviderRejectedError) as raised:
        play(answer, Memory(b'{"id":"resp_1"}'))

    assert raised.value.message == Fault.GONE.error().message
    assert asked_for == ["/v1/responses/resp_1?stream=true"]


def test_refused_request_is_not_repeated() -> None:
    """A new response that cannot be begun fails as any other."""

    async def answer(exchange: Exchange) -> None:
        await exchange.refuse(400, b"{}")

    with pytest.raises(ProviderRejectedError):
        play(answer, Memory())


@pytest.mark.parametrize("status", [200, 400, 500])
def test_cancellation_never_fails(status: int) -> None:
    """A response that cannot be cancelled ends by itself."""
    paths: list[str] = []

    async def answer(exchange: Exchange) -> None:
        paths.append(exchange.path)
        await exchange.refuse(status, b"{}")

    async def run() -> None:
        async with upstream(answer) as base_url:
            provider = provider_at(OpenAIResponsesProvider, base_url)
            await provider.durable.cancel(b'{"id":"resp_1"}')
            await provider.close()

    asyncio.run(run())
    assert paths == ["/v1/responses/resp_1/cancel"]
