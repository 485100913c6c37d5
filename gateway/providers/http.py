"""The shell that all SDK providers share: a response's bytes in, a step's chunks out.

The SDK makes the request (credentials, retries, addresses); its typed events are not used,
because they cost twenty times what the bytes do. Time limits are ours alone, so that a run
fails at the moment that the settings name, whatever the SDK retries.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from gateway.providers.errors import Fault, map_provider_errors
from gateway.silence import SilenceLimit
from protocol.errors import MalformedFrameError
from protocol.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import httpx2

    from gateway.providers.base import StepResult, Translator
    from protocol.chunks import AnyChunk
    from protocol.sse import Event

STREAM_HEADERS: Final = {
    # Makes both SDKs return the response before its body is read: what their
    # `with_streaming_response` sends, for `client.post(..., cast_to=httpx2.Response)`.
    "X-Stainless-Raw-Response": "stream",
    "Accept": "text/event-stream",
    # A proxy that compresses a stream holds tokens back until a block is full.
    "Accept-Encoding": "identity",
}


class TimeLimits(Struct, frozen=True, kw_only=True):
    """How long a provider may take.

    Attributes:
        connect_s: for one connection; the SDK tries again after it.
        first_byte_s: for the response to begin, retries included.
        between_bytes_s: for silence within the response. Models think for minutes without
            a byte; a stop does not wait for this.
    """

    connect_s: float = 10.0
    first_byte_s: float = 120.0
    between_bytes_s: float = 300.0

    def sdk_timeout(self) -> httpx2.Timeout:
        """Return what the SDK's client is given: the limit that only it can keep."""
        import httpx2

        return httpx2.Timeout(None, connect=self.connect_s)


class SseStep:
    """A step under way over an SSE response. Implements `StepStream`."""

    def __init__(
        self, response: httpx2.Response, translator: Translator, limits: TimeLimits
    ) -> None:
        # httpx's own iterator is for what is encoded; else it only costs, with every read.
        encoded = "content-encoding" in response.headers
        plain = cast("httpx2.AsyncByteStream", response.stream)
        self._body = response.aiter_bytes() if encoded else aiter(plain)
        self._decoder = SseDecoder()
        self._translator = translator
        self._silence = SilenceLimit(limits.between_bytes_s).waiter()

    @property
    def result(self) -> StepResult:
        """What the step came to; final once the iterator is exhausted."""
        return self._translator.result

    async def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        """Yield chunks, one list a network read, never empty.

        Ends at the end of the response, or early when the provider reports a failure
        (`result.failure`).

        Raises:
            ProviderUnavailableError: the connection was lost, silent for too long, or not
                an event stream.
        """
        translator, receive = self._translator, self._translator.receive
        with map_provider_errors():
            while True:
                try:
                    with self._silence:
                        data = await anext(self._body)
                except StopAsyncIteration:
                    break
                chunks: list[AnyChunk] = []
                for event in self._events(data):
                    chunks += receive(event.data)
                    if translator.result.failure is not None:
                        break
                if chunks:
                    yield chunks
                if translator.result.failure is not None:
                    return
        if chunks := translator.receive_eof():
            yield chunks

    def close(self) -> None:
        """Let go of the step's timer."""
        self._silence.close()

    def _events(self, data: bytes) -> list[Event]:
        try:
            return self._decoder.receive_data(data)
        except MalformedFrameError as error:
            raise Fault.BROKEN.error() from error


@asynccontextmanager
async def open_sse(
    send: Callable[[], Awaitable[httpx2.Response]], translator: Translator, limits: TimeLimits
) -> AsyncIterator[SseStep]:
    """Send a request and read its answer; leaving closes the connection at once.

    A response that was read to its end leaves its connection for the next request; any
    other is closed, whether the block is left, fails or is cancelled.

    Args:
        send: makes the request and returns the response with its body unread.
        translator: of this one step.
        limits: for this one step.

    Raises:
        ProviderError: from entering, once the SDK has retried what it retries.
    """
    with map_provider_errors():
        async with asyncio.timeout(limits.first_byte_s):
            response = await send()
    step = SseStep(response, translator, limits)
    try:
        yield step
    finally:
        step.close()
        await response.aclose()
