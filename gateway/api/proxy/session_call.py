"""A proxied call that names a session: the same bytes, and a run of the session besides.

The run is opened before anything goes to the provider. A stop in the session ends the
provider's call and, well-formed, the caller's stream; a caller that leaves ends both.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Final

from midstream.api.off_loop import off_loop
from midstream.api.proxy.body import GoneError
from midstream.api.proxy.headers import said_by
from midstream.api.proxy.response import while_there
from midstream.api.proxy.target import response_headers
from midstream.errors import GatewayError, RunStoppedError
from midstream.ids import part_id
from midstream.protocol.surrogates import well_formed
from midstream.providers.failures.errors import secrets_in
from midstream.providers.part_ids import PartIds
from midstream.providers.passthrough.api import read_call
from midstream.providers.passthrough.reader import EventsReader, WholeReader
from midstream.sessions.sentences import STOPPED
from midstream.sessions.spending import cost_of_call
from midstream.sessions.types import CallRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from midstream.api.proxy.body import RequestBody
    from midstream.api.proxy.headers import SessionHeaders
    from midstream.api.proxy.response import ProxyExchange
    from midstream.api.proxy.target import Header
    from midstream.limits.limiter import Limiter
    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.passthrough.api import ProxiedApi
    from midstream.providers.passthrough.call import ModelCall
    from midstream.providers.passthrough.upstreams import Upstream, UpstreamAnswer, Upstreams
    from midstream.sessions.access import Caller
    from midstream.sessions.contract import CallInRun, ProxiedService

logger = logging.getLogger(__name__)

MAX_ERROR_BYTES: Final = 64 * 1024
"""Most bytes of an error's body that are read; no error is longer."""

_EVENTS: Final = "text/event-stream"
_TRIED_AGAIN: Final = frozenset({408, 409, 429})
"""Statuses, besides 5xx, after which the SDKs try again by themselves."""


class SessionCall:
    """One such call.

    Args:
        finish_calls: read the answer to its end when the caller has left.
    """

    def __init__(
        self,
        headers: SessionHeaders,
        turns: ProxiedService,
        upstreams: Upstreams,
        limits: Limiter,
        *,
        finish_calls: bool,
    ) -> None:
        self._headers = headers
        self._turns = turns
        self._upstreams = upstreams
        self._limits = limits
        self._finish_calls = finish_calls
        self._reader: EventsReader | WholeReader | None = None
        self._secrets: Sequence[str] = ()
        self._compatible: str | None = None

    async def serve(
        self,
        caller: Caller,
        upstream: Upstream,
        url: str,
        headers: list[Header],
        body: RequestBody,
        response: ProxyExchange,
    ) -> None:
        """Make the call, and forward its answer.

        Raises:
            GatewayError: before the response has begun, for the caller; else why it broke off.
            GoneError: the caller has left.
        """
        content = await body.read()
        self._compatible = upstream.compatible
        call, digest = await off_loop(content, _read, self._headers.api, content)
        self._secrets = secrets_in({name.decode("latin-1"): v.decode() for name, v in headers})
        request = self._request(call, digest)
        async with (
            self._limits.sending(
                caller,
                request.session_id,
                _try_of(request),
                streams=False,
                cost=cost_of_call(request.said),
                run_key=request.run_key,
            ) as grant,
            self._turns.call(caller, request, grant.run) as step,
        ):
            passing = self._pass(call, step, upstream, url, _uncompressed(headers), content)
            if await _unless_stopped(step, self._while_there(passing, body, response)):
                return
            await self._end_stopped(call, response)

    def _request(self, call: ModelCall, digest: str) -> CallRequest:
        headers = self._headers
        return CallRequest(
            session_id=headers.session_id,
            run_key=headers.run_key,
            message_id=headers.message_id,
            agent=headers.agent,
            said=said_by(headers.text, call.said),
            results=call.results,
            goes_on=call.goes_on,
            digest=digest,
            tried=headers.tried,
            ends=headers.ends,
        )

    async def _while_there(
        self,
        passing: Callable[[ProxyExchange], Awaitable[None]],
        body: RequestBody,
        response: ProxyExchange,
    ) -> None:
        if self._finish_calls:
            # The server drops writes to a caller who has left.
            await passing(response)
            return
        async with while_there(body):
            await passing(response)

    def _pass(
        self,
        call: ModelCall,
        step: CallInRun,
        upstream: Upstream,
        url: str,
        headers: list[Header],
        content: bytes,
    ) -> Callable[[ProxyExchange], Awaitable[None]]:
        async def passing(response: ProxyExchange) -> None:
            try:
                async with self._upstreams.open(upstream, "POST", url, headers, content) as answer:
                    await self._answer(call, step, answer, response)
            except GatewayError as failure:
                step.fail(failure, comes_again=not response.started)
                raise

        return passing

    async def _answer(
        self, call: ModelCall, step: CallInRun, answer: UpstreamAnswer, response: ProxyExchange
    ) -> None:
        reader = self._reader_of(call, step, answer)
        headers = response_headers(answer.headers)
        if isinstance(reader, EventsReader):
            # Drop content-length: a stop may shorten the body.
            headers = [each for each in headers if each[0].lower() != b"content-length"]
        await response.start(answer.status, headers)
        if reader is None:
            await self._pass_unread(step, answer, response)
            return
        self._reader = reader
        try:
            last = await _read_along(reader, step, answer, response)
        except GatewayError:
            if rest := reader.receive_eof()[0]:
                await response.write(rest)
            raise
        except (GoneError, asyncio.CancelledError):
            if reader.complete:
                # The caller left with the whole answer.
                _end(step, reader, reader.receive_last())
            raise
        rest, chunks = reader.receive_eof()
        # Before the caller has the last byte, at which it may leave or make its next call.
        _end(step, reader, chunks)
        answer.complete()
        await step.settled()
        await response.write(last + rest, more=False)

    async def _pass_unread(
        self, step: CallInRun, answer: UpstreamAnswer, response: ProxyExchange
    ) -> None:
        """Forward an answer that is an error or cannot be read; note the error."""
        begin = bytearray()
        try:
            while data := await answer.read():
                if len(begin) < MAX_ERROR_BYTES:
                    begin += data
                await response.write(data)
        finally:
            # Also if the caller leaves as soon as it has the status.
            self._fail(step, answer, bytes(begin[:MAX_ERROR_BYTES]))
        await response.write(b"", more=False)

    def _fail(self, step: CallInRun, answer: UpstreamAnswer, begin: bytes) -> None:
        failure = answer.failure(begin, self._secrets)
        comes_again = _is_tried_again(answer.status)
        if comes_again:
            # The turn waits for the retry, and does not report this failure.
            session = self._headers.session_id
            logger.warning("proxied_call_failed session=%s %s", session, failure.note)
        step.fail(failure, comes_again=comes_again)

    def _reader_of(
        self, call: ModelCall, step: CallInRun, answer: UpstreamAnswer
    ) -> EventsReader | WholeReader | None:
        """Return the reader of the answer; None for an error or a compressed body."""
        if answer.status != 200 or answer.is_compressed:
            return None
        api = self._headers.api
        translator = api.translator(call, part_id, step.part_ids, self._compatible)
        if answer.media_type == _EVENTS:
            return EventsReader(api, translator, part_id)
        return WholeReader(api, translator)

    async def _end_stopped(self, call: ModelCall, response: ProxyExchange) -> None:
        """End the caller's response after a stop has cut off the provider's.

        Raises:
            RunStoppedError: it has not begun, or cannot be ended well.
        """
        reader = self._reader
        if reader is None and call.streams and not response.started:
            api = self._headers.api
            translator = api.translator(call, part_id, PartIds(), self._compatible)
            reader = EventsReader(api, translator, part_id)
            await response.start(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
        last = None if reader is None else reader.close()
        if last is None:
            raise RunStoppedError(STOPPED)
        await response.write(last, more=False)


async def _read_along(
    reader: EventsReader | WholeReader,
    step: CallInRun,
    answer: UpstreamAnswer,
    response: ProxyExchange,
) -> bytes:
    """Forward an answer up to its last event or piece, and return the rest.

    The rest of a body that does not stream is its last piece: with it, the caller has all.
    """
    closing, held = False, b""
    while data := await answer.read():
        passed, chunks = reader.receive_data(data)
        if chunks:
            step.write(chunks, len(data))
        if reader.closing:
            if reader.ended:
                return held + passed
            if reader.result.failure is not None:
                # Before the caller sees the failure, at which it may leave.
                answer.note_request(reader.result.failure)
                step.end(reader.result)
            closing = True
            answer.expect_end()
        elif closing:
            closing = False
            answer.expect_end(soon=False)
        if isinstance(reader, WholeReader):
            passed, held = held, passed
        if passed:
            await response.write(passed)
    return held


def _end(step: CallInRun, reader: EventsReader | WholeReader, chunks: list[AnyChunk]) -> None:
    """Record in the session how the call ended."""
    if chunks:
        step.write(chunks, 0)
    if reader.failure is not None:
        step.fail(reader.failure)
    else:
        step.end(reader.result)


async def _unless_stopped(step: CallInRun, passing: Awaitable[None]) -> bool:
    """Await, or cancel when the run is stopped; returns False then.

    Raises:
        RunActiveError: another call has taken the run over: this one is broken off.
    """
    task = asyncio.ensure_future(passing)
    stopped = asyncio.create_task(step.until_stopped(), name="watch-proxied-run")
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()
            return True
        stopped.result()
        return False
    finally:
        for each in (task, stopped):
            each.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def _is_tried_again(status: int) -> bool:
    return status >= 500 or status in _TRIED_AGAIN


def _uncompressed(headers: list[Header]) -> list[Header]:
    """Request an uncompressed answer: it can be read along, and arrives in smaller pieces."""
    kept = [each for each in headers if each[0] != b"accept-encoding"]
    return [*kept, (b"accept-encoding", b"identity")]


def _try_of(request: CallRequest) -> str:
    """Return the key that a call shares with the retries of its SDK."""
    return f"{request.run_key or ''}\n{request.digest}"


def _read(api: ProxiedApi, content: bytes) -> tuple[ModelCall, str]:
    """Read a call's body; also return its digest.

    Raises:
        InvalidRequestError: see `read_call`.
    """
    return read_call(api, well_formed(content)), hashlib.sha256(content).hexdigest()
