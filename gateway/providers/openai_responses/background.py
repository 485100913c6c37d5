"""Responses in OpenAI's background: read again from where one was, here or in another process.

The provider numbers a response's events and keeps them. A connection that is lost is made
again, after the last event that was read. A process that dies leaves a `ResponsePoint`: the
number of an event, and what brings a new translator to the state after it. That is not the
translator's memory but the events that shaped it, which are few: nearly all events are
deltas, and those leave no trace.

Source: https://platform.openai.com/docs/guides/background (streaming a background response).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.errors import (
    ProviderError,
    ProviderRateLimitedError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from midstream.protocol.codec import UNREADABLE
from midstream.providers.failures.errors import Fault
from midstream.providers.openai_responses.proxied import events_of_response
from midstream.providers.stream.loose import Side, reader
from midstream.providers.stream.sse_step import SseStep

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import httpx2

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import Room, StepMemory, StepResult, Take, Translator
    from midstream.providers.openai.client import OpenAIClient

logger = logging.getLogger(__name__)

POINT_INTERVAL_S: Final = 1.0
"""Interval at which a response's point is kept: at most so much is translated twice."""

MAX_POINT_BYTES: Final = 64 * 1024
"""A point beyond this (images, very long calls) is not kept: the last one before it counts."""

RETRY_DELAYS_S: Final = (0.05, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Before each connection in a row that brings nothing new; then the response is given up."""

CANCEL_LIMIT_S: Final = 5.0
"""For a cancellation to be heard of: the run's end does not wait for it."""

TRACELESS: Final = frozenset(
    {
        "response.queued",
        "response.in_progress",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
    }
)
"""Events that leave a translator as it was: whatever it makes of them, it forgets."""


class ResponsePoint(Struct, frozen=True, omit_defaults=True):
    """A point up to which a response was read.

    Attributes:
        id: the response's.
        sequence: the number of the last event read; -1 before the first.
        events: of those up to it, the ones that leave a trace, in order.
    """

    id: str
    sequence: int = -1
    events: tuple[str, ...] = ()


class _EventNumber(Struct):
    type: Side[str] = ""
    sequence_number: Side[int | None] = None


_read_head = reader(_EventNumber)
_point_decoder: Final = msgspec.json.Decoder(ResponsePoint)


class FollowedResponse:
    """A translator that knows where in its response it is. Implements `Translator`.

    Events come once each, however often they are sent; `receive_eof` says nothing, because a
    connection's end is not the response's: see `ended`, and `finish`.

    Attributes:
        sequence: of the last event received.
    """

    closing = False

    def __init__(self, translator: Translator) -> None:
        """Begin before the first event."""
        self.result = translator.result
        self.sequence = -1
        self._translator = translator
        self._events: list[str] = []
        self._size = 0

    @property
    def ended(self) -> bool:
        """Whether the response's own last event was received, or a failure."""
        return self._translator.ended

    def restore(self, point: ResponsePoint) -> None:
        """Continue from `point`, in place of the beginning; chunks up to it are known."""
        for event in point.events:
            self.receive(event.encode())
        self.sequence = point.sequence

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take an event. See `Translator.receive`."""
        try:
            head = _read_head(event)
        except UNREADABLE:
            head = _EventNumber()
        if head.sequence_number is not None:
            if head.sequence_number <= self.sequence:
                return []
            self.sequence = head.sequence_number
        if head.type not in TRACELESS:
            text = event.decode("utf-8", "replace")
            self._events.append(text)
            self._size += len(text)
        return self._translator.receive(event)

    def receive_error(self, event: bytes) -> list[AnyChunk]:
        """Take an event that is named an error. See `Translator.receive_error`."""
        return self._translator.receive_error(event)

    def receive_loss(self) -> list[AnyChunk]:
        """A connection was lost, not the response. See `Translator.receive_loss`."""
        return []

    def receive_eof(self) -> list[AnyChunk]:
        """A connection ended. See `Translator.receive_eof`."""
        return []

    def finish(self) -> list[AnyChunk]:
        """The response ended: return what was held back."""
        return self._translator.receive_eof()

    def point(self) -> ResponsePoint | None:
        """Return where it is; None if that is too large to be kept."""
        if self._size > MAX_POINT_BYTES:
            return None
        return ResponsePoint(self.result.response_id or "", self.sequence, tuple(self._events))


class BackgroundStep:
    """A step over a response in the background. Implements `StepStream`.

    Args:
        first: the connection that began the response; None for one that began elsewhere.
    """

    def __init__(
        self,
        client: OpenAIClient,
        followed: FollowedResponse,
        memory: StepMemory,
        response_id: str,
        first: httpx2.Response | None,
    ) -> None:
        self._client = client
        self._followed = followed
        self._memory = memory
        self._id = response_id
        self._response = first
        self._connected: SseStep | None = None
        self._kept_at_s = time.monotonic()

    @property
    def result(self) -> StepResult:
        """See StepStream."""
        return self._followed.result

    async def __aiter__(self) -> AsyncGenerator[list[AnyChunk]]:
        """Yield chunks, never an empty list, over as many connections as it takes.

        Raises:
            ProviderError: the provider does not have the response (any more), or cannot be
                reached for too long.
            StoreUnavailableError: the response's id could not be kept.
        """
        followed = self._followed
        failures = 0
        while not followed.ended:
            read_up_to = followed.sequence
            try:
                async with aclosing(self._connection()) as connection:
                    async for chunks in connection:
                        yield chunks
                lost: ProviderError = Fault.LOST.error()
            except (ProviderUnavailableError, ProviderRateLimitedError) as error:
                lost = error
            if followed.ended:
                break
            failures = 1 if followed.sequence > read_up_to else failures + 1
            if not self._id or failures > len(RETRY_DELAYS_S):
                raise lost
            logger.info(
                "response_lost response=%s after=%d reason=%s", self._id, followed.sequence, lost
            )
            delay_s = RETRY_DELAYS_S[failures - 1]
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        if followed.result.failure is None and (chunks := followed.finish()):
            yield chunks

    async def pump(self, take: Take, room: Room) -> None:
        """See StepStream. Its place is kept between one read and the next: it is iterated."""
        async with aclosing(aiter(self)) as chunk_lists:
            async for chunks in chunk_lists:
                if take(chunks):
                    await room()

    async def _connection(self) -> AsyncGenerator[list[AnyChunk]]:
        """Read one connection to its end."""
        try:
            if self._response is None:
                self._response = await self._connect()
            self._connected = SseStep(
                self._response, self._followed, self._client.options.limits, events_of_response
            )
            async for chunks in self._connected:
                if not self._id:
                    await self._keep_id()
                yield chunks
                if time.monotonic() - self._kept_at_s >= POINT_INTERVAL_S:
                    await self._keep_point()
        finally:
            await self.close()

    async def _connect(self) -> httpx2.Response:
        after = self._followed.sequence
        try:
            return await self._client.follow(
                f"/responses/{self._id}", after=after if after >= 0 else None
            )
        except ProviderRejectedError as error:
            if getattr(error.__cause__, "status_code", None) == 404:
                raise Fault.GONE.error() from error
            raise

    async def _keep_id(self) -> None:
        """Keep which response it is, before anything of it can be seen."""
        self._id = self._followed.result.response_id or ""
        if self._id:
            point = msgspec.json.encode(ResponsePoint(self._id))
            await self._memory.remember(point, required=True)
            self._kept_at_s = time.monotonic()

    async def _keep_point(self) -> None:
        self._kept_at_s = time.monotonic()
        if self._id and (point := self._followed.point()) is not None:
            await self._memory.remember(msgspec.json.encode(point), required=False)

    async def close(self) -> None:
        """Close the connection; the provider continues the response."""
        response, self._response = self._response, None
        connection, self._connected = self._connected, None
        if connection is not None:
            await connection.release(self._client.drains)
        elif response is not None:
            await response.aclose()


@asynccontextmanager
async def open_background(
    client: OpenAIClient, body: bytes, translator: Translator, memory: StepMemory
) -> AsyncIterator[BackgroundStep]:
    """Begin a response in the background, or resume the one that `memory` names.

    Leaving closes the connection, not the response.

    Raises:
        ProviderError: from entering, when a new response cannot be begun.
    """
    followed = FollowedResponse(translator)
    response_id = ""
    first: httpx2.Response | None = None
    if memory.point:
        point = _point_decoder.decode(memory.point)
        followed.restore(point)
        response_id = point.id
    else:
        first = await client.begin("/responses", body)
    step = BackgroundStep(client, followed, memory, response_id, first)
    try:
        yield step
    finally:
        await step.close()


async def cancel_background(client: OpenAIClient, point: bytes) -> None:
    """Cancel the response at `point`; a failure is only logged."""
    response_id = _point_decoder.decode(point).id
    try:
        async with asyncio.timeout(CANCEL_LIMIT_S):
            await client.call(f"/responses/{response_id}/cancel")
    except (ProviderError, TimeoutError) as error:
        logger.warning("response_not_cancelled response=%s reason=%s", response_id, error)
