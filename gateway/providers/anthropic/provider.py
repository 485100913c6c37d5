"""Anthropic's Messages API, reached through its SDK."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.providers.anthropic.hosts import is_anthropic
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.failures.errors import Fault
from midstream.providers.failures.retries import retry_hooks
from midstream.providers.forms import enter_either
from midstream.providers.passthrough.call import Wire
from midstream.providers.stream.drains import Drains
from midstream.providers.stream.sse_step import STREAM_HEADERS, TimeLimits, open_sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import anthropic
    import httpx2

    from midstream.providers.anthropic.prompt.request import AnthropicRequest
    from midstream.providers.base import StepRequest
    from midstream.providers.stream.sse_step import SseStep

_encode: Final = msgspec.json.encode

_NO_KEY: Final = "none"
"""What a compatible server is sent when no key is configured: the SDK insists on one."""


class AnthropicProvider:
    """Implements `Provider`.

    Args:
        api_key: as the SDK's; None leaves it to the SDK's environment variables.
        base_url: without `/v1`; None for Anthropic's own.
        default_headers: added to each request.
        max_retries: of a request that failed before its response began.
        limits: how long the provider may take.
        compatible: the server is not Anthropic's own; None: as its address and the model say.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        max_retries: int = 2,
        limits: TimeLimits | None = None,
        compatible: bool | None = None,
    ) -> None:
        """Keep the settings; the SDK is imported by the first step."""
        self._compatible = compatible
        self._api_key = api_key
        self._base_url = base_url
        self._default_headers = default_headers
        self._max_retries = max_retries
        self._limits = limits or TimeLimits()
        self._drains = Drains()
        self._client: anthropic.AsyncAnthropic | None = None
        self._opening = asyncio.Lock()

    @property
    def name(self) -> str:
        """As in settings."""
        return "anthropic"

    @property
    def durable(self) -> None:
        """See Provider."""
        return None

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[SseStep]:
        """Start a step. See `Provider.open_step`."""
        client = await self._connected()
        prepared = self.prepare(request)
        translator = AnthropicTranslator(
            names=prepared.names,
            calls=ToolCalls((tool.name for tool in request.tools), request.check_input),
            new_id=request.new_id,
            part_ids=request.part_ids,
            documents=prepared.documents,
            json_tool=prepared.json_tool,
            send_reasoning=request.send_reasoning,
            send_sources=request.send_sources,
        )

        def send(form: AnthropicRequest) -> AbstractAsyncContextManager[SseStep]:
            return open_sse(
                lambda: _send(client, form),
                translator,
                self._limits,
                Wire.MESSAGES,
                self._drains,
            )

        def signed() -> AbstractAsyncContextManager[SseStep] | None:
            plain = build_request(request)
            same = _encode(plain.body["messages"]) == _encode(prepared.body["messages"])
            return None if self._compatible is not None or same else send(plain)

        async with AsyncExitStack() as stack:
            # It may be Claude by another name, or a server that can do nothing with thoughts.
            step, _ = await enter_either(stack, send(prepared), signed)
            yield step

    async def warm_up(self) -> None:
        """See Provider."""
        await self._connected()

    async def close(self) -> None:
        """Close the SDK's client; the next step would open another."""
        await self._drains.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def prepare(self, request: StepRequest) -> AnthropicRequest:
        """Return the request of a step, as this server takes it."""
        return build_request(request, unsigned_thinking=self._takes_unsigned(request.model))

    def _takes_unsigned(self, model: str) -> bool:
        """Whether the server wants thoughts that it has not signed; Claude refuses them."""
        if self._compatible is not None:
            return self._compatible
        return not is_anthropic(self._base_url) and "claude" not in model.lower()

    async def _connected(self) -> anthropic.AsyncAnthropic:
        async with self._opening:
            if self._client is None:
                # In a thread: the import takes seconds, and reads hundreds of files.
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    def _connect(self) -> anthropic.AsyncAnthropic:
        import anthropic

        try:
            client = self._make(self._api_key)
        except anthropic.CredentialsError:
            client = None
        if client is not None and (client.api_key or client.auth_token or client.credentials):
            return client
        # Without any, the SDK would raise a TypeError with each request.
        if self._base_url is None:
            raise Fault.CREDENTIALS.error()
        return self._make(_NO_KEY)

    def _make(self, api_key: str | None) -> anthropic.AsyncAnthropic:
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=self._base_url,
            default_headers=self._default_headers,
            max_retries=self._max_retries,
            timeout=self._limits.sdk_timeout(),
            http_client=anthropic.DefaultAioHttpClient(event_hooks=retry_hooks(self._max_retries)),
        )


async def _send(client: anthropic.AsyncAnthropic, request: AnthropicRequest) -> httpx2.Response:
    import httpx2

    headers = dict(STREAM_HEADERS)
    if request.betas:
        headers["anthropic-beta"] = ",".join(request.betas)
    # `messages.create` would copy the whole history into its typed parameters first.
    return await client.post(
        "/v1/messages",
        cast_to=httpx2.Response,
        body=request.body,
        options={"headers": headers},
    )
