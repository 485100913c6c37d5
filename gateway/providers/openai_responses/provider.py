"""The `openai` provider: the Responses API."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from midstream.aio.entered import Entered
from midstream.protocol.chunks import StartStepChunk
from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.forms import enter_either
from midstream.providers.openai.client import OpenAIClient
from midstream.providers.openai.hosts import is_openai
from midstream.providers.openai_responses.background import cancel_background, open_background
from midstream.providers.openai_responses.prompt.request import is_stored, responses_request
from midstream.providers.openai_responses.prompt.tools import (
    DEFERRING_KINDS,
    answered_approvals,
    tooling,
)
from midstream.providers.openai_responses.proxied import events_of_response
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.sdk_client import ClientOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import (
        DurableResponses,
        Room,
        StepRequest,
        StepResult,
        StepStream,
        Take,
    )
    from midstream.providers.stream.sse_step import SseStep
    from midstream.settings.providers import ProviderSettings

_PATH: Final = "/responses"

_GRACE_S: Final = 0.05
"""Time for which a step's start is held back. OpenAI begins a response before it looks at the
account's quota, and reports an error right after: the message then stays without a step.
Source: @ai-sdk/openai 4.0.118, `openai-stream-error.ts`, `acceptedGraceMs`."""


class OpenAIResponsesProvider:
    """Implements `Provider`, and `DurableResponses`.

    Args:
        options: how it is reached.
        compatible: the server keeps nothing that could be referred to; None: as it turns out.
        client: sends the requests; None for one with these options.
    """

    deferring_tools = DEFERRING_KINDS

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        compatible: bool | None = None,
        client: OpenAIClient | None = None,
    ) -> None:
        """Keep the options; the SDK is imported by the first step."""
        self._client = client or OpenAIClient(options or ClientOptions())
        base_url = self._client.options.base_url
        self._plain = compatible is True
        self._may_be_plain = compatible is None and not is_openai(base_url)

    @classmethod
    def configured(
        cls, _name: str, settings: ProviderSettings, options: ClientOptions
    ) -> OpenAIResponsesProvider:
        """Return the provider of these settings. See `ProviderRow.make`."""
        return cls(options, compatible=settings.compatible)

    @property
    def name(self) -> str:
        """See Provider."""
        return "openai"

    @property
    def durable(self) -> DurableResponses:
        """See Provider: responses that are made in the background."""
        return self

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[StepStream]:
        """Start a step. See `Provider.open_step`."""
        translator = OpenAIResponsesTranslator(
            declared_calls(request.tools, request.check_input),
            new_id=request.new_id,
            part_ids=request.part_ids,
            tooling=tooling(request.tools, answered_approvals(request.messages)),
            stored=is_stored(request),
            send_reasoning=request.send_reasoning,
            send_sources=request.send_sources,
        )
        body = responses_request(request, plain=self._plain)
        if request.memory is not None and self.keeps(request.provider_options):
            # Its start is not held back: what was yielded must be known at every moment.
            async with open_background(self._client, body, translator, request.memory) as step:
                yield step
            return

        def plainer() -> AbstractAsyncContextManager[SseStep] | None:
            answered = any(message.role == "assistant" for message in request.messages)
            if self._plain or not self._may_be_plain or not answered:
                return None
            return self._client.stream(
                _PATH, responses_request(request, plain=True), translator, events_of_response
            )

        async with Entered() as entered:
            # Whether a server keeps answers shows with its first one, to this process. Another
            # process, or a conversation that began elsewhere, has its request refused first.
            opening = self._client.stream(_PATH, body, translator, events_of_response)
            accepted, is_plain = await enter_either(entered, opening, plainer)
            self._plain = self._plain or is_plain
            try:
                yield _AcceptedStep(accepted)
            finally:
                self._plain = self._plain or (self._may_be_plain and not translator.stores)

    def keeps(self, provider_options: Mapping[str, object]) -> bool:
        """See DurableResponses: those that are made in the background."""
        return provider_options.get("background") is True

    async def cancel(self, point: bytes) -> None:
        """See DurableResponses."""
        await cancel_background(self._client, point)

    async def warm_up(self) -> None:
        """See Provider."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._client.close()


class _AcceptedStep:
    """A step whose start is not shown before it is clear that it did not fail at once."""

    def __init__(self, step: SseStep) -> None:
        """Take the step as it comes from the wire."""
        self._step = step
        self._is_over = False

    @property
    def result(self) -> StepResult:
        """See StepStream."""
        return self._step.result

    async def __aiter__(self) -> AsyncGenerator[list[AnyChunk]]:
        """Yield chunks, one list a network read, never empty."""
        async with aclosing(self._begin()) as beginning:
            async for chunks in beginning:
                yield chunks
        if not self._is_over:
            async for chunks in self._step:
                yield chunks

    async def pump(self, take: Take, room: Room) -> None:
        """See StepStream."""
        async with aclosing(self._begin()) as beginning:
            async for chunks in beginning:
                if take(chunks):
                    await room()
        if not self._is_over:
            await self._step.pump(take, room)

    async def _begin(self) -> AsyncGenerator[list[AnyChunk]]:
        """Yield the first list, and if that is a start alone, the second."""
        async with aclosing(aiter(self._step)) as step:
            first: list[AnyChunk] = await anext(step, [])
            if len(first) != 1 or not isinstance(first[0], StartStepChunk):
                self._is_over = not first
                if first:
                    yield first
                return
            following = asyncio.ensure_future(anext(step, []))
            try:
                await asyncio.wait((following,), timeout=_GRACE_S)
                if not following.done():
                    yield first
                    first = []
                more = await following
            finally:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
            self._is_over = not more
            if self._is_over and self.result.failure is not None:
                return
            if together := [*first, *more]:
                yield together
