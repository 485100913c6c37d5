"""The toy, reached through a stand-in for its SDK."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from midstream.providers.sdk_client import ClientOptions, SdkClient
from midstream.providers.stream.sse_step import STREAM_HEADERS
from tests.toy_provider.prompt import toy_request
from tests.toy_provider.proxied import events_of_answer
from tests.toy_provider.stream import ToyTranslator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

    from midstream.providers.base import StepRequest
    from midstream.providers.stream.sse_step import SseStep
    from midstream.settings.providers import ProviderSettings


class ToySdk:
    """A stand-in for a vendor's SDK."""

    def __init__(self, api_key: str, base_url: str) -> None:
        import httpx2

        self._http = httpx2.AsyncClient(base_url=base_url, headers={"x-api-key": api_key})

    async def speak(self, body: dict[str, Any]) -> httpx2.Response:
        """Ask, and return the answer with its body unread."""
        request = self._http.build_request("POST", "/speak", json=body, headers=STREAM_HEADERS)
        response = await self._http.send(request, stream=True)
        response.raise_for_status()
        return response

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()


class ToyClient(SdkClient[ToySdk]):
    """Sends requests through it."""

    def _make_with_key(self) -> ToySdk | None:
        return self._make(self.options.api_key) if self.options.api_key else None

    def _make(self, api_key: str | None) -> ToySdk:
        return ToySdk(api_key or "", self.options.base_url or "")


class ToyProvider:
    """Implements `Provider`."""

    name = "toy"
    durable = None
    deferring_tools = ()

    def __init__(self, options: ClientOptions) -> None:
        self._client = ToyClient(options)

    @classmethod
    def configured(
        cls, _name: str, _settings: ProviderSettings, options: ClientOptions
    ) -> ToyProvider:
        """Return the provider of these settings."""
        return cls(options)

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[SseStep]:
        """Start a step."""
        translator = ToyTranslator(new_id=request.new_id, part_ids=request.part_ids)
        body = toy_request(request)
        async with self._client.open_sse(
            lambda sdk: sdk.speak(body), translator, events_of_answer
        ) as step:
            yield step

    async def warm_up(self) -> None:
        """Import the SDK."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._client.close()
