"""The far end of `/proxy`: providers' own APIs, called with requests that are not ours.

Nothing is interpreted, decompressed, redirected or tried again here: the SDK at the other
side of the proxy does all of that, as if it were connected directly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.aio.idle_timeout import IdleTimeout
from midstream.errors import ProviderError
from midstream.providers.failures.errors import map_provider_errors
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import Told, failure_of, note_request, read_failure
from midstream.providers.passthrough.api import ProxyVendor
from midstream.providers.stream.drains import CLOSING_S, Drains
from midstream.providers.stream.sse_step import TimeLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import aiohttp

logger = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

IDLE_CONNECTION_S: Final = 15.0
"""Time for which a connection is kept for the next request. Providers keep theirs longer: a
request that meets a closing connection fails."""

MAX_HEADER_BYTES: Final = 64 * 1024
"""Of one header of an answer; more than any provider sends."""

NAME_SERVER_TTL_S: Final = 60

_SKIPPED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add of its own."""


class Upstream(Struct, frozen=True, kw_only=True):
    """A provider as the proxy reaches it.

    Attributes:
        vendor: how it is spoken to.
        base_url: as its SDK takes it: with `/v1` for OpenAI's APIs, without for Anthropic's.
            Without a slash at its end.
        key: put in place of the caller's; None leaves that.
        compatible: its name, if it is not the vendor's own; else None.
    """

    vendor: ProxyVendor
    base_url: str
    limits: TimeLimits
    key: str | None = None
    compatible: str | None = None

    def url(self, path: str, query: str) -> str:
        """Return the address for a path below `/proxy/NAME/`.

        SDKs may be given `/proxy/NAME` or `/proxy/NAME/v1`: OpenAI's base URL has its `v1`.
        """
        path = path.removeprefix(self.vendor.in_base_url)
        return f"{self.base_url}/{path}?{query}" if query else f"{self.base_url}/{path}"

    def with_key(self, headers: Headers) -> Headers:
        """Return a request's headers, with our key in place of the caller's if there is one."""
        if self.key is None:
            return headers
        kept = [each for each in headers if each[0] not in (b"authorization", b"x-api-key")]
        return [*kept, self.vendor.key_header(self.key)]


class UpstreamAnswer:
    """A response whose body has not been read.

    Attributes:
        headers: as they came: their order, case and bytes.
        media_type: of the body, without parameters.
        is_compressed: the body is as it came all the same.
    """

    def __init__(self, response: aiohttp.ClientResponse, limits: TimeLimits) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = response.raw_headers
        self.media_type = response.content_type
        encoding = response.headers.get("content-encoding", "identity")
        self.is_compressed = encoding.lower() != "identity"
        self._response = response
        self._content = response.content
        self._silence = IdleTimeout(limits.between_bytes_s).waiter()
        self._closes_at: float | None = None
        self._complete = False

    async def read(self) -> bytes:
        """Return what has come of the body, as soon as anything has; empty at its end.

        Raises:
            ProviderUnavailableError: the connection was lost, or silent for too long.
        """
        if self._closes_at is not None:
            return await self._last_data(self._closes_at)
        with map_provider_errors(), self._silence:
            return await self._content.readany()

    def failure(self, body: bytes, secrets: Iterable[str]) -> ProviderError:
        """Return the error of an answer that is none of its API.

        Args:
            body: the begin of it, or all.
            secrets: what the request was made with.
        """
        told = Told(message="compressed") if self.is_compressed else read_failure(body)
        return failure_of(
            told,
            status=self.status,
            headers=self._named(),
            secrets=secrets,
            fault=None if self.status >= 400 else Fault.BROKEN,
        )

    def note_request(self, failure: ProviderError) -> None:
        """Add the failed request to the operator's note."""
        note_request(failure, self._named())

    def _named(self) -> dict[str, str]:
        pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers)
        return {name.lower(): value for name, value in pairs}

    def expect_end(self, *, soon: bool = True) -> None:
        """From now on a loss is the body's end, and so is a wait of `CLOSING_S` in all; or not."""
        if not soon:
            self._closes_at = None
        elif self._closes_at is None:
            self._closes_at = asyncio.get_running_loop().time() + CLOSING_S

    def complete(self) -> None:
        """Nothing more is to be read: what still comes is drained."""
        self._complete = True

    async def release(self, drains: Drains) -> None:
        """Let go: at once, which closes a connection whose answer was not read, or drained."""
        self._silence.close()
        if self._complete and not self._content.at_eof():
            await drains.let_go(self._content.iter_any(), self._close)
        else:
            self._response.close()

    async def _last_data(self, until_s: float) -> bytes:
        try:
            with map_provider_errors():
                async with asyncio.timeout_at(until_s):
                    return await self._content.readany()
        except ProviderError as error:
            logger.info("response_without_last_event reason=%s", error.message)
            return b""

    async def _close(self) -> None:
        self._response.close()


class Upstreams:
    """The providers that the proxy reaches, by name, and the connections to them.

    Args:
        known: those that are configured.
        simulated: names of the simulated ones.
        start_simulated: starts these, and yields them by name.
    """

    def __init__(
        self,
        known: Mapping[str, Upstream],
        simulated: Collection[str],
        start_simulated: Callable[[], AbstractAsyncContextManager[Mapping[str, Upstream]]],
    ) -> None:
        self._known = known
        self._simulated = simulated
        self._start_simulated = start_simulated
        self._started: Mapping[str, Upstream] = {}
        self._starting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._drains = Drains()

    async def find(self, name: str) -> Upstream | None:
        """Return a provider; the simulated ones are started when one is first asked for."""
        if name not in self._known and name in self._simulated:
            async with self._starting:
                if not self._started:
                    started = await self._stack.enter_async_context(self._start_simulated())
                    self._started = started
            return self._started.get(name)
        return self._known.get(name)

    @asynccontextmanager
    async def open(
        self,
        upstream: Upstream,
        method: str,
        url: str,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
    ) -> AsyncIterator[UpstreamAnswer]:
        """Send a request, and enter when its answer begins; leaving closes it at once.

        An answer that is complete is read on for a moment, in the background.

        Args:
            url: see `Upstream.url`.
            headers: all of them, but for the host's; names in lower case. With a
                `content-length`, the body must have it; else a streamed body is chunked.
            body: None for a request that has none.

        Raises:
            ProviderUnavailableError: from entering: it cannot be reached, or does not begin.
        """
        from aiohttp import ClientTimeout
        from yarl import URL

        session = self._session or self._connect()
        limits = upstream.limits
        with map_provider_errors(opening=True):
            async with asyncio.timeout(limits.first_byte_s) as limit:
                response = await session.request(
                    method,
                    URL(url, encoded=True),
                    headers=[(name.decode("ascii"), value.decode()) for name, value in headers],
                    skip_auto_headers=_SKIPPED,
                    data=_timed(body, limit, limits) if isinstance(body, AsyncIterator) else body,
                    allow_redirects=False,
                    timeout=ClientTimeout(total=None, sock_connect=limits.connect_s),
                )
        answer = UpstreamAnswer(response, upstream.limits)
        try:
            yield answer
        finally:
            # One that was read to its end has given its connection back before this.
            await answer.release(self._drains)

    def _connect(self) -> aiohttp.ClientSession:
        """Open the session with the first request: it belongs to the running event loop."""
        import aiohttp

        self._session = aiohttp.ClientSession(
            # A limit would let calls wait behind others that stream for minutes.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=IDLE_CONNECTION_S, ttl_dns_cache=NAME_SERVER_TTL_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        await self._drains.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._stack.aclose()


async def _timed(
    body: AsyncIterator[bytes], limit: asyncio.Timeout, limits: TimeLimits
) -> AsyncIterator[bytes]:
    """Pass a body on; the wait for the answer counts from its last piece: uploads take long."""
    loop = asyncio.get_running_loop()
    async for piece in body:
        yield piece
        # Some answer before they have read everything: then the wait has ended.
        if limit.when() is not None and not limit.expired():
            with suppress(RuntimeError):
                limit.reschedule(loop.time() + limits.first_byte_s)
