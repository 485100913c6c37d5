"""The `openai-chat` provider: Chat Completions, OpenAI's or any compatible server's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec import structs

from midstream.aio.entered import Entered
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
from midstream.providers.openai_chat.proxied import events_of_chat
from midstream.providers.openai_chat.translator import OpenAIChatTranslator
from midstream.providers.sdk_client import ClientOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from midstream.providers.base import StepRequest
    from midstream.providers.openai_chat.compatible.dialect import ThinkingField
    from midstream.providers.stream.sse_step import SseStep
    from midstream.settings.providers import ProviderSettings


_PATH: Final = "/chat/completions"


class OpenAIChatProvider:
    """Implements `Provider`.

    Args:
        options: how it is reached.
        label: its name in settings, under which metadata is kept.
        compatible: the server is not OpenAI's own; None: as its address says.
        thinking_field: where thinking goes in a request; None: where the server has it.
        client: sends the requests; None for one with these options.
    """

    durable = None
    deferring_tools = ()

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        label: str = "openai-chat",
        compatible: bool | None = None,
        thinking_field: ThinkingField | None = None,
        client: OpenAIClient | None = None,
    ) -> None:
        """Keep the options; the SDK is imported by the first step."""
        self._client = client or OpenAIClient(options or ClientOptions())
        base_url = self._client.options.base_url
        self._label = label
        self._compatible = not is_openai(base_url) if compatible is None else compatible
        self._says_where = thinking_field is not None
        self._thinking_field = thinking_field or known_thinking_field(base_url)
        self._always_thinking = wants_thinking_always(base_url)
        self._seen_field: ThinkingField | None = None

    @classmethod
    def configured(
        cls, name: str, settings: ProviderSettings, options: ClientOptions
    ) -> OpenAIChatProvider:
        """Return the provider of these settings. See `ProviderRow.make`."""
        return cls(
            options,
            label=name,
            compatible=settings.compatible,
            thinking_field=settings.thinking_field or None,
        )

    @property
    def name(self) -> str:
        """See Provider."""
        return "openai-chat"

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
        async with self._client.stream(_PATH, body, translator, events_of_chat) as step:
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
            return self._client.stream(_PATH, bare, translator, events_of_chat)

        opening = self._client.stream(_PATH, body, translator, events_of_chat)
        async with Entered() as entered:
            # Some refuse whatever they do not know; a server may have models that never think.
            step, _ = await enter_either(entered, opening, unthinking)
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
