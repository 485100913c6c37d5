"""The `openai-chat` provider: Chat Completions, OpenAI's or any compatible server's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.providers.openai_client import OpenAIClient
from gateway.providers.prompts.openai_chat import chat_request
from gateway.providers.prompts.openai_tools import declared_calls
from gateway.providers.translate.openai_chat import OpenAIChatTranslator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.providers.base import StepRequest
    from gateway.providers.http import SseStep, TimeLimits


class OpenAIChatProvider:
    """Implements `Provider`.

    Args:
        api_key: None leaves it to the SDK's environment variables.
        base_url: with `/v1`; None for OpenAI's own.
        default_headers: added to each request.
        max_retries: of a request that failed before its response began.
        limits: how long the provider may take.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_retries: int = 2,
        limits: TimeLimits | None = None,
    ) -> None:
        """Keep the settings; the SDK is imported by the first step."""
        self._client = OpenAIClient(
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
        translator = OpenAIChatTranslator(
            declared_calls(request.tools, request.check_input),
            new_id=request.new_id,
            part_ids=request.part_ids,
            send_sources=request.send_sources,
        )
        body = chat_request(request)
        async with self._client.stream("/chat/completions", body, translator) as step:
            yield step

    async def warm_up(self) -> None:
        """See Provider."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._client.close()
