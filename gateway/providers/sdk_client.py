"""A vendor's SDK: its client, made by the first request, and the requests that go through it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from midstream.providers.failures.errors import Fault, map_provider_errors
from midstream.providers.failures.retries import retry_hooks
from midstream.providers.stream.drains import Drains
from midstream.providers.stream.sse_step import TimeLimits, open_sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx2

    from midstream.providers.base import Translator
    from midstream.providers.stream.sse_step import SseStep
    from midstream.providers.stream.unstreamed import EventsOf

MOST_ANSWERS: Final = 20_000
"""Answers of a provider at once, of each process: more than it has connections of clients. By
default the SDKs open 1,000 connections, and further runs wait for one of these to end. None is not
unlimited here: the SDKs' transport on aiohttp leaves it to that, which opens 100 then."""

_NO_KEY: Final = "none"
"""Sent to a compatible server when no key is configured: the SDKs insist on one."""


class ClientOptions(Struct, frozen=True, kw_only=True):
    """Options of the connection to a provider.

    Attributes:
        api_key: None leaves it to the SDK's environment variables.
        base_url: as the SDK takes it: with `/v1` for OpenAI's APIs, without for Anthropic's.
            None for the vendor's own, or the SDK's environment variable.
        default_headers: added to each request.
        max_retries: of a request that failed before its response began.
        limits: how long the provider may take.
    """

    api_key: str | None = None
    base_url: str | None = None
    default_headers: Mapping[str, str] | None = None
    max_retries: int = 2
    limits: TimeLimits = TimeLimits()


class _Closable(Protocol):
    async def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Closable)


class SdkClient(ABC, Generic[ClientT]):
    """Sends requests through an SDK, which is imported by the first one.

    Attributes:
        drains: of its responses.
    """

    def __init__(self, options: ClientOptions) -> None:
        """Keep the options."""
        self.options = options
        self.drains = Drains()
        self._client: ClientT | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def open_sse(
        self,
        send: Callable[[ClientT], Awaitable[httpx2.Response]],
        translator: Translator,
        events_of: EventsOf,
    ) -> AsyncIterator[SseStep]:
        """Send a request and read its answer. See `open_sse`."""
        client = await self._connected()
        async with open_sse(
            lambda: send(client), translator, self.options.limits, events_of, self.drains
        ) as step:
            yield step

    async def request(
        self, send: Callable[[ClientT], Awaitable[httpx2.Response]]
    ) -> httpx2.Response:
        """Send a request; return the response with its body unread. Raises ProviderError."""
        client = await self._connected()
        with map_provider_errors(opening=True):
            async with asyncio.timeout(self.options.limits.first_byte_s):
                return await send(client)

    async def warm_up(self) -> None:
        """Import the SDK, in a thread. Raises ProviderRejectedError without a key."""
        await self._connected()

    async def close(self) -> None:
        """Close the SDK's client; the next request would open another."""
        await self.drains.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> ClientT:
        async with self._opening:
            if self._client is None:
                # In a thread: the import takes seconds, and reads hundreds of files.
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    def _connect(self) -> ClientT:
        if (client := self._make_with_key()) is not None:
            return client
        if self.options.base_url is None:
            raise Fault.CREDENTIALS.error()
        return self._make(_NO_KEY)

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments that both SDKs' clients take, and their HTTP client's hooks."""
        options = self.options
        return {
            "base_url": options.base_url,
            "max_retries": options.max_retries,
            "timeout": options.limits.sdk_timeout(),
        }

    def _http_options(self) -> dict[str, Any]:
        """Return the options of the SDK's HTTP client."""
        import httpx2

        return {
            "event_hooks": retry_hooks(self.options.max_retries),
            "limits": httpx2.Limits(max_connections=MOST_ANSWERS),
        }

    @abstractmethod
    def _make_with_key(self) -> ClientT | None:
        """Return a client with the configured key; None if there is none anywhere.

        Raises:
            ProviderRejectedError: there must be one.
        """

    @abstractmethod
    def _make(self, api_key: str | None) -> ClientT:
        """Return a client with a key; None leaves it to the SDK's environment variables."""
