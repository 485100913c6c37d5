"""Anthropic's Messages API, reached through its SDK."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.aio.entered import Entered
from midstream.providers.anthropic.hosts import is_anthropic
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.anthropic.proxied import events_of_message
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.anthropic.tool_names import DEFERRING
from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.forms import enter_either
from midstream.providers.sdk_client import ClientOptions, SdkClient
from midstream.providers.stream.sse_step import STREAM_HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    import anthropic
    import httpx2

    from midstream.providers.anthropic.prompt.request import AnthropicRequest
    from midstream.providers.base import StepRequest
    from midstream.providers.stream.sse_step import SseStep
    from midstream.settings.providers import ProviderSettings

_encode: Final = msgspec.json.encode


class AnthropicProvider:
    """Implements `Provider`.

    Args:
        options: how it is reached.
        compatible: the server is not Anthropic's own; None: as its address and the model say.
    """

    name = "anthropic"
    durable = None
    deferring_tools = DEFERRING

    def __init__(
        self, options: ClientOptions | None = None, *, compatible: bool | None = None
    ) -> None:
        """Keep the options; the SDK is imported by the first step."""
        self._client = AnthropicClient(options or ClientOptions())
        self._compatible = compatible

    @classmethod
    def configured(
        cls, _name: str, settings: ProviderSettings, options: ClientOptions
    ) -> AnthropicProvider:
        """Return the provider of these settings. See `ProviderRow.make`."""
        return cls(options, compatible=settings.compatible)

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[SseStep]:
        """Start a step. See `Provider.open_step`."""
        prepared = self.prepare(request)
        translator = AnthropicTranslator(
            names=prepared.names,
            calls=declared_calls(request.tools, request.check_input),
            new_id=request.new_id,
            part_ids=request.part_ids,
            documents=prepared.documents,
            json_tool=prepared.json_tool,
            send_reasoning=request.send_reasoning,
            send_sources=request.send_sources,
        )

        def send(form: AnthropicRequest) -> AbstractAsyncContextManager[SseStep]:
            return self._client.open_sse(
                lambda client: _send(client, form), translator, events_of_message
            )

        def signed() -> AbstractAsyncContextManager[SseStep] | None:
            plain = build_request(request)
            same = _encode(plain.body["messages"]) == _encode(prepared.body["messages"])
            return None if self._compatible is not None or same else send(plain)

        async with Entered() as entered:
            # It may be Claude by another name, or a server that can do nothing with thoughts.
            step, _ = await enter_either(entered, send(prepared), signed)
            yield step

    async def warm_up(self) -> None:
        """See Provider."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._client.close()

    def prepare(self, request: StepRequest) -> AnthropicRequest:
        """Return the request of a step, as this server takes it."""
        return build_request(request, unsigned_thinking=self._takes_unsigned(request.model))

    def _takes_unsigned(self, model: str) -> bool:
        """Whether the server wants thoughts that it has not signed; Claude refuses them."""
        if self._compatible is not None:
            return self._compatible
        return not is_anthropic(self._client.options.base_url) and "claude" not in model.lower()


class AnthropicClient(SdkClient["anthropic.AsyncAnthropic"]):
    """Sends requests through the `anthropic` SDK."""

    def _make_with_key(self) -> anthropic.AsyncAnthropic | None:
        import anthropic

        try:
            client = self._make(self.options.api_key)
        except anthropic.CredentialsError:
            return None
        # Without any, the SDK would raise a TypeError with each request.
        has_any = client.api_key or client.auth_token or client.credentials
        return client if has_any else None

    def _make(self, api_key: str | None) -> anthropic.AsyncAnthropic:
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=api_key,
            default_headers=self.options.default_headers,
            http_client=anthropic.DefaultAioHttpClient(**self._http_options()),
            **self._arguments(),
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
