"""The `openai` SDK's client, as both of its providers use it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from midstream.providers.failures.errors import Fault, map_provider_errors
from midstream.providers.failures.retries import retry_hooks
from midstream.providers.passthrough.call import Wire
from midstream.providers.stream.drains import Drains
from midstream.providers.stream.sse_step import STREAM_HEADERS, SseStep, TimeLimits, open_sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    import httpx2
    import openai
    from openai._types import RequestOptions

    from midstream.providers.base import Translator

_NO_KEY: Final = "none"
"""What is sent to a compatible server when no key is configured: the SDK insists on one."""


class OpenAIClient:
    """Sends requests through the SDK, which is imported by the first one.

    Attributes:
        drains: of its responses.

    Args:
        api_key: None leaves it to the SDK's environment variables.
        base_url: with `/v1`; None for OpenAI's own, or `OPENAI_BASE_URL`.
        default_headers: added to each request.
        max_retries: of a request that failed before its response began.
        limits: how long the provider may take.
        default_query: added to each address.
        key_header: has the key, instead of `Authorization`.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        default_headers: Mapping[str, str] | None,
        max_retries: int,
        limits: TimeLimits | None,
        default_query: Mapping[str, object] | None = None,
        key_header: str | None = None,
    ) -> None:
        """Keep the settings."""
        self.drains = Drains()
        self._default_query = default_query
        self._key_header = key_header
        self._api_key = api_key
        self._base_url = base_url
        self._default_headers = default_headers
        self._max_retries = max_retries
        self._limits = limits or TimeLimits()
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, translator: Translator
    ) -> AsyncIterator[SseStep]:
        """Post a JSON body and read the answer. See `open_sse`."""
        client = await self._connected()
        async with open_sse(
            lambda: _send(client, self._path(path, body), body, self._own_header),
            translator,
            self._limits,
            Wire(path.removeprefix("/")),
            self.drains,
        ) as step:
            yield step

    async def begin(self, path: str, body: bytes) -> httpx2.Response:
        """Post a JSON body; return the response with its body unread. Raises ProviderError."""
        client = await self._connected()
        sending = _send(client, self._path(path, body), body, self._own_header)
        return await self._in_time(sending)

    async def follow(self, path: str, *, after: int | None) -> httpx2.Response:
        """Ask for the events of what is at `path`, after one of them; body unread.

        Raises:
            ProviderError: see `open_sse`.
        """
        client = await self._connected()
        return await self._in_time(_follow(client, path, after, self._own_header))

    async def call(self, path: str) -> None:
        """Post without a body, and wait for the answer. Raises ProviderError."""
        client = await self._connected()
        response = await self._in_time(_send(client, path, b"{}", self._own_header))
        await response.aclose()

    def _path(self, path: str, body: bytes) -> str:
        """Return the path of a request with a body."""
        return path

    @property
    def _own_header(self) -> bool:
        return self._key_header is not None

    @property
    def limits(self) -> TimeLimits:
        """How long the provider may take."""
        return self._limits

    async def _in_time(self, request: Awaitable[httpx2.Response]) -> httpx2.Response:
        with map_provider_errors(opening=True):
            async with asyncio.timeout(self._limits.first_byte_s):
                return await request

    async def warm_up(self) -> None:
        """Import the SDK, in a thread. Raises ProviderRejectedError without a key."""
        await self._connected()

    async def close(self) -> None:
        """Close the SDK's client; the next request would open another."""
        await self.drains.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> openai.AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                # In a thread: the import takes seconds, and reads hundreds of files.
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    def _connect(self) -> openai.AsyncOpenAI:
        import openai

        if self._key_header is not None and self._api_key is None:
            # The SDK would take a key of OpenAI's from the environment.
            raise Fault.CREDENTIALS.error()
        try:
            return self._make(self._api_key)
        except openai.OpenAIError:
            # No key, neither configured nor in the environment.
            if self._base_url is None:
                raise Fault.CREDENTIALS.error() from None
            return self._make(_NO_KEY)

    def _make(self, api_key: str | None) -> openai.AsyncOpenAI:
        import openai

        headers: dict[str, Any] = dict(self._default_headers or {})
        if self._key_header is not None:
            headers[self._key_header] = api_key
        return openai.AsyncOpenAI(
            api_key=api_key,
            base_url=self._base_url,
            default_headers=headers,
            default_query=self._default_query,
            max_retries=self._max_retries,
            timeout=self._limits.sdk_timeout(),
            http_client=openai.DefaultAioHttpClient(event_hooks=retry_hooks(self._max_retries)),
        )


def _options(headers: Mapping[str, str], *, own_header: bool) -> RequestOptions:
    """Return a request's headers; without `Authorization` if the key has a header of its own.

    The SDK wants that said with each request. It keeps its own header only from other hosts that
    redirect, so that redirects are not followed.
    """
    if not own_header:
        return {"headers": headers}
    import openai

    return {"headers": {**headers, "Authorization": openai.Omit()}, "follow_redirects": False}


async def _send(
    client: openai.AsyncOpenAI, path: str, body: bytes, own_header: bool
) -> httpx2.Response:
    import httpx2

    headers = {**STREAM_HEADERS, "Content-Type": "application/json"}
    return await client.post(
        path,
        cast_to=httpx2.Response,
        content=body,
        options=_options(headers, own_header=own_header),
    )


async def _follow(
    client: openai.AsyncOpenAI, path: str, after: int | None, own_header: bool
) -> httpx2.Response:
    import httpx2

    params: dict[str, object] = {"stream": "true"}
    if after is not None:
        params["starting_after"] = after
    return await client.get(
        path,
        cast_to=httpx2.Response,
        options={**_options(STREAM_HEADERS, own_header=own_header), "params": params},
    )
