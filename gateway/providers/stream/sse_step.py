"""The shell that all SDK providers share: a response's bytes in, a step's chunks out.

The SDK makes the request (credentials, retries, addresses); its typed events are not used,
because they cost twenty times what the bytes do. Time limits are ours alone, so that a run
fails at the moment that the settings name, whatever the SDK retries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from midstream.aio.idle_timeout import IdleTimeout
from midstream.errors import ProviderError
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.sse import ERROR_NAME, SseDecoder
from midstream.protocol.surrogates import well_formed
from midstream.providers.failures.errors import map_provider_errors
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import REQUEST_IDS, note_request
from midstream.providers.stream.drains import CLOSING_S
from midstream.providers.stream.tap import body_of, read_by_call
from midstream.providers.stream.unstreamed import MAX_BODY_BYTES, events_in, last_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    import httpx2

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.sse import Event
    from midstream.providers.base import Room, StepResult, Take, Translator
    from midstream.providers.stream.drains import Drains
    from midstream.providers.stream.tap import Body
    from midstream.providers.stream.unstreamed import EventsOf

logger = logging.getLogger(__name__)

STREAM_HEADERS: Final = {
    # Makes both SDKs return the response before its body is read: what their
    # `with_streaming_response` sends, for `client.post(..., cast_to=httpx2.Response)`.
    "X-Stainless-Raw-Response": "stream",
    "Accept": "text/event-stream",
    # A proxy that compresses a stream holds tokens back until a block is full.
    "Accept-Encoding": "identity",
}


class TimeLimits(Struct, frozen=True, kw_only=True):
    """Time limits of a provider.

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
        self,
        response: httpx2.Response,
        translator: Translator,
        limits: TimeLimits,
        events_of: EventsOf,
    ) -> None:
        # httpx's own iterator is for what is encoded; else it only costs, with every read.
        encoded = "content-encoding" in response.headers
        plain = cast("httpx2.AsyncByteStream", response.stream)
        self._response = response
        self._body = response.aiter_bytes() if encoded else aiter(plain)
        self._decoder = SseDecoder(error_lines=True)
        self._unread: bytearray | None = bytearray()
        self._translator = translator
        self._events_of = events_of
        self._silence = IdleTimeout(limits.between_bytes_s).waiter()
        self._lost: ProviderError | None = None

    @property
    def result(self) -> StepResult:
        """See StepStream."""
        return self._translator.result

    async def pump(self, take: Take, room: Room) -> None:
        """Give `take` what iterating would yield. See `StepStream.pump`.

        As long as there is nothing to a body but its events, it is read by call. How it ends, in
        whatever way, is for the iterator to see.
        """
        body = body_of(self._response)
        while body is not None and await self._is_full(body, take):
            await room()
        async with aclosing(aiter(self)) as rest:
            async for chunks in rest:
                if take(chunks):
                    await room()

    async def _is_full(self, body: Body, take: Take) -> bool:
        """Read by call; return whether that stopped because `take` wants no more for now."""
        translator, silence = self._translator, self._silence
        full = False

        def receive(data: bytes) -> bool:
            nonlocal full
            silence.since = time.monotonic()
            if chunks := self._chunks_of(data):
                full = take(chunks)
            return not (full or translator.closing)

        if translator.closing:
            return False
        try:
            with map_provider_errors(), silence:
                raised = await read_by_call(body, receive)
            if raised is not None:
                raise raised
        except ProviderError as error:
            self._lost = error
        return full

    async def __aiter__(self) -> AsyncGenerator[list[AnyChunk]]:
        """Yield chunks, one list a network read, never empty.

        Ends with the protocol's last event, whatever the connection does then; without one, at
        the end of the response. A failure that the provider reports (`result.failure`) ends
        it, too. An iterator that is closed before that leaves the rest to another, or to `pump`.

        Raises:
            ProviderUnavailableError: the connection was lost, silent for too long, or not
                an event stream.
        """
        translator = self._translator
        try:
            with map_provider_errors():
                if self._lost is not None:
                    raise self._lost
                while True:
                    if translator.closing:
                        async with aclosing(self._closing()) as last:
                            async for chunks in last:
                                yield chunks
                        if translator.closing:
                            break
                    try:
                        with self._silence:
                            data = await anext(self._body)
                    except StopAsyncIteration:
                        break
                    if chunks := self._chunks_of(data):
                        yield chunks
            if not translator.ended and (chunks := self._take_rest()):
                yield chunks
        except ProviderError:
            if chunks := translator.receive_loss():
                yield chunks
            raise
        if chunks := self._last_chunks():
            yield chunks

    async def _closing(self) -> AsyncGenerator[list[AnyChunk]]:
        """Read past the end of the content, until the last event, or more of the answer.

        A loss is the end then, and so is a wait of `CLOSING_S` in all, comments or not.
        """
        translator = self._translator
        closes_at = asyncio.get_running_loop().time() + CLOSING_S
        while translator.closing and not self._is_over():
            try:
                with map_provider_errors():
                    async with asyncio.timeout_at(closes_at):
                        data = await anext(self._body, b"")
            except ProviderError as error:
                logger.info("response_without_last_event reason=%s", error.message)
                return
            if not data:
                return
            if chunks := self._chunks_of(data):
                yield chunks

    def _last_chunks(self) -> list[AnyChunk]:
        translator = self._translator
        failed = translator.result.failure is not None
        chunks = translator.receive_loss() if failed else translator.receive_eof()
        if (failure := translator.result.failure) is not None:
            note_request(failure, self._response.headers)
        return chunks

    def _take_rest(self) -> list[AnyChunk]:
        """Take what stands at the end of a body that ends without its last event.

        An event whose blank line is missing is one if it is whole. A body without any event is
        no stream, but perhaps an answer or an error as one JSON object.

        Raises:
            ProviderUnavailableError: it is nothing of this kind.
        """
        translator, unread = self._translator, self._unread
        event = last_event(self._decoder.rest())
        if event is not None:
            take = translator.receive_error if event.name == ERROR_NAME else translator.receive
            return take(well_formed(event.data))
        chunks: list[AnyChunk] = []
        body = b"" if unread is None else well_formed(bytes(unread))
        for data in events_in(body, self._events_of):
            chunks += translator.receive(data)
        return chunks

    def _is_over(self) -> bool:
        """Whether the answer has ended, and nothing of another message has come behind it."""
        translator = self._translator
        if not translator.ended:
            return False
        return translator.result.failure is not None or not self._decoder.pending

    async def release(self, drains: Drains) -> None:
        """Let go of the response: at once, or after its last bytes if the answer has ended."""
        self._silence.close()
        if self._translator.ended:
            await drains.let_go(self._body, self._response.aclose)
        else:
            await self._response.aclose()

    def _chunks_of(self, data: bytes) -> list[AnyChunk]:
        """Return the chunks of the events that `data` completes."""
        events = self._events(data)
        if len(events) == 1:
            return self._chunks_of_event(events[0])
        chunks: list[AnyChunk] = []
        for event in events:
            chunks += self._chunks_of_event(event)
        return chunks

    def _chunks_of_event(self, event: Event) -> list[AnyChunk]:
        if event.name == ERROR_NAME:
            return self._translator.receive_error(event.data)
        return self._translator.receive(event.data)

    def _events(self, data: bytes) -> list[Event]:
        try:
            events = self._decoder.receive_data(data)
        except MalformedFrameError as error:
            raise Fault.BROKEN.error() from error
        if self._unread is not None:
            if events or len(self._unread) > MAX_BODY_BYTES:
                self._unread = None
            else:
                self._unread += data
        return events


@cache
def _answered_request() -> httpx2.Request:
    """Return what stands in an open response in the place of the request that it answers.

    That one has the whole conversation in its body, for as long as the answer takes.
    """
    import httpx2

    return httpx2.Request("POST", "")


def _asked_again(headers: httpx2.Headers) -> httpx2.Headers:
    """Return those headers that somebody asks for while the body is read: all of them take 2 KB."""
    kept = {name: headers[name] for name in ("content-encoding", *REQUEST_IDS) if name in headers}
    return type(headers)(kept)


@asynccontextmanager
async def open_sse(
    send: Callable[[], Awaitable[httpx2.Response]],
    translator: Translator,
    limits: TimeLimits,
    events_of: EventsOf,
    drains: Drains,
) -> AsyncIterator[SseStep]:
    """Send a request and read its answer; leaving closes the connection at once.

    A response that was read to its end leaves its connection for the next request, and one
    whose answer has ended is read on for a moment by `drains`. Any other is closed, whether
    the block is left, fails or is cancelled.

    Args:
        send: makes the request and returns the response with its body unread.
        translator: of this one step.
        limits: for this one step.
        events_of: reads an answer that does not stream.
        drains: of the provider.

    Raises:
        ProviderError: from entering, once the SDK has retried what it retries.
    """
    with map_provider_errors(opening=True):
        async with asyncio.timeout(limits.first_byte_s):
            response = await send()
    response.request, response.headers = _answered_request(), _asked_again(response.headers)
    step = SseStep(response, translator, limits, events_of)
    try:
        yield step
    finally:
        await step.release(drains)
