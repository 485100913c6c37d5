"""The `openai-chat` provider: Chat Completions, OpenAI's or any compatible server's."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import structs

from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.forms import enter_either
from midstream.providers.openai.client import OpenAIClient
from midstream.providers.openai.hosts import is_openai
from midstream.providers.openai_chat.compatible.dialect import (
    Dialect,
    known_thinking_field,
    wants_thinking_always,
)
from midstream.providers.openai_chat.compatible.prompt import compatible_request
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.prompt import chat_request
from midstream.providers.openai_chat.translator import OpenAIChatTranslator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from midstream.providers.base import StepRequest
    from midstream.providers.openai_chat.compatible.dialect import ThinkingField
    from midstream.providers.stream.sse_step import SseStep, TimeLimits


class OpenAIChatProvider:
    """Implements `Provider`.

    Args:
        api_key: None leaves it to the SDK's environment variables.
        base_url: with `/v1`; None for OpenAI's own.
        default_headers: added to each request.
        max_retries: of a request that failed before its response began.
        limits: how long the provider may take.
        label: its name in settings, under which metadata is kept.
        compatible: the server is not OpenAI's own; None: as its address says.
        thinking_field: where thinking goes in a request; None: where the server has it.
        client: sends the requests, in place of one with all of these.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_retries: int = 2,
        limits: TimeLimits | None = None,
        label: str = "openai-chat",
        compatible: bool | None = None,
        thinking_field: ThinkingField | None = None,
        client: OpenAIClient | None = None,
    ) -> None:
        """Keep the settings; the SDK is imported by the first step."""
        self._label = label
        self._compatible = not is_openai(base_url) if compatible is None else compatible
        self._says_where = thinking_field is not None
        self._thinking_field = thinking_field or known_thinking_field(base_url)
        self._always_thinking = wants_thinking_always(base_url)
        self._seen_field: ThinkingField | None = None
        self._client = client or OpenAIClient(
            api_key=api_key,
            base_url=base_url,
            default_headers=default_headers,
            max_retries=max_retries,
            limits=limits,
        )

    @property
    def name(self) -> str:
        """As in settings."""
        return "openai-chat"

    @property
    def durable(self) -> None:
        """See Provider."""
        return None

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[SseStep]:
        """Start a step. See `Provider.open_step`."""
        if self._compatible:
            async with self._open_compatible(request) as step:
                yield step
            return
        translator = OpenAIChatTranslator(
            declared_calls(request.tools, request.check_input),
            new_id=request.new_id,
            part_ids=request.part_ids,
            send_sources=request.send_sources,
        )
        body = chat_request(request)
        async with self._client.stream("/chat/completions", body, translator) as step:
            yield step

    @asynccontextmanager
    async def _open_compatible(self, request: StepRequest) -> AsyncIterator[SseStep]:
        dialect = Dialect(
            name=self._label,
            thinking=self._thinking_field or self._seen_field or "reasoning_content",
            always_thinking=self._always_thinking,
        )
        translator = OpenAICompatibleTranslator(
            declared_calls(request.tools, request.check_input),
            new_id=request.new_id,
            name=self._label,
            part_ids=request.part_ids,
            send_reasoning=request.send_reasoning,
            send_sources=request.send_sources,
        )
        body = compatible_request(request, dialect)

        def unthinking() -> AbstractAsyncContextManager[SseStep] | None:
            bare = compatible_request(request, structs.replace(dialect, thinking="none"))
            if self._says_where or bare == body:
                return None
            return self._client.stream("/chat/completions", bare, translator)

        opening = self._client.stream("/chat/completions", body, translator)
        async with AsyncExitStack() as stack:
            # Some refuse whatever they do not know; a server may have models that never think.
            step, _ = await enter_either(stack, opening, unthinking)
            try:
                yield step
            finally:
                # Its next request has the thinking in the same place.
                self._seen_field = translator.thinking_field or self._seen_field

    async def warm_up(self) -> None:
        """See Provider."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._client.close()
