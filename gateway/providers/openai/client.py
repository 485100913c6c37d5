"""The `openai` SDK's client, as both of its providers use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midstream.providers.failures.errors import Fault
from midstream.providers.sdk_client import SdkClient
from midstream.providers.stream.sse_step import STREAM_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    import httpx2
    import openai
    from openai._types import RequestOptions

    from midstream.providers.base import Translator
    from midstream.providers.sdk_client import ClientOptions
    from midstream.providers.stream.sse_step import SseStep
    from midstream.providers.stream.unstreamed import EventsOf


class OpenAIClient(SdkClient["openai.AsyncOpenAI"]):
    """Sends requests through the `openai` SDK.

    Args:
        options: how the provider is reached.
        default_query: added to each address.
        key_header: has the key, instead of `Authorization`.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        default_query: Mapping[str, object] | None = None,
        key_header: str | None = None,
    ) -> None:
        """Keep the options."""
        super().__init__(options)
        self._default_query = default_query
        self._key_header = key_header

    def stream(
        self, path: str, body: bytes, translator: Translator, events_of: EventsOf
    ) -> AbstractAsyncContextManager[SseStep]:
        """Post a JSON body and read the answer. See `open_sse`."""
        path = self._path(path, body)
        return self.open_sse(
            lambda client: _send(client, path, body, self._own_header), translator, events_of
        )

    async def begin(self, path: str, body: bytes) -> httpx2.Response:
        """Post a JSON body; return the response with its body unread. Raises ProviderError."""
        path = self._path(path, body)
        return await self.request(lambda client: _send(client, path, body, self._own_header))

    async def follow(self, path: str, *, after: int | None) -> httpx2.Response:
        """Ask for the events of what is at `path`, after one of them; body unread.

        Raises:
            ProviderError: see `open_sse`.
        """
        return await self.request(lambda client: _follow(client, path, after, self._own_header))

    async def call(self, path: str) -> None:
        """Post without a body, and wait for the answer. Raises ProviderError."""
        response = await self.request(lambda client: _send(client, path, b"{}", self._own_header))
        await response.aclose()

    def _path(self, path: str, body: bytes) -> str:
        """Return the path of a request with a body."""
        return path

    @property
    def _own_header(self) -> bool:
        return self._key_header is not None

    def _make_with_key(self) -> openai.AsyncOpenAI | None:
        import openai

        if self._key_header is not None and self.options.api_key is None:
            # The SDK would take a key of OpenAI's from the environment.
            raise Fault.CREDENTIALS.error()
        try:
            return self._make(self.options.api_key)
        except openai.OpenAIError:
            # No key, neither configured nor in the environment.
            return None

    def _make(self, api_key: str | None) -> openai.AsyncOpenAI:
        import openai

        headers: dict[str, Any] = dict(self.options.default_headers or {})
        if self._key_header is not None:
            headers[self._key_header] = api_key
        return openai.AsyncOpenAI(
            api_key=api_key,
            default_headers=headers,
            default_query=self._default_query,
            http_client=openai.DefaultAioHttpClient(**self._http_options()),
            **self._arguments(),
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
