"""The AI SDK's WebSocket: many requests on one connection, each answered by frames.

An `abort` frame says that a reader has left. ai 7 sends one when a person stops, but also
after an `error` chunk, when a second resume replaces the first, and when a component
unmounts. It counts as a stop if the request is its chat's newest here, no `error` or
`finish` was sent to it, and no `resume` of the chat follows at once. A `send` that follows
does not change that: it is "stop, and send this instead". Losing the connection never stops
anything.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct

from midstream.api import parameters
from midstream.api.chat.run_stream import holds
from midstream.api.chat.start_request import start_request
from midstream.api.context import CurrentDependency  # noqa: TC001 (Litestar reads the annotations)
from midstream.api.failures import TooManyRequestsError, as_gateway_error, error_body
from midstream.api.off_loop import off_loop
from midstream.api.streaming.stream_response import first_of, loop_time_of
from midstream.errors import (
    ConflictError,
    DrainingError,
    GatewayError,
    RateLimitedError,
    StoreUnavailableError,
    TokenExpiredError,
)
from midstream.protocol import ws
from midstream.protocol.errors import RemoteProtocolError
from midstream.sessions.types import Idle
from midstream.telemetry import ERRORS, READERS, READERS_GONE, SENDS_REFUSED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from midstream.api.context import Api
    from midstream.ids import RunId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.types import RunReader

logger = logging.getLogger(__name__)

ABORT_GRACE_S: Final = 0.25
"""Longest delay of a `resume` behind its `abort`: they leave the browser in the same tick."""

AnySocket = WebSocket[Any, Any, Any]


@websocket("/api/chat")
async def chat_socket(socket: AnySocket, current: CurrentDependency) -> None:
    """Serve `WebSocketChatTransport`."""
    # Accepted first: a browser cannot see why a handshake was refused, but sees a close code.
    await socket.accept()
    try:
        api = current.get()
        caller = await api.gate.admit(socket)
        level = parameters.client_level(socket, api.settings.client_level)
    except GatewayError as error:
        ERRORS.labels(error.code).inc()
        await socket.close(error.ws_close_code, reason=error.code)
        return
    try:
        async with api.limits.reading(caller):
            await ChatSocket(socket, api, caller, level).serve()
    except* DrainingError:
        await _close_with(socket, DrainingError)
    except* TokenExpiredError:
        await _close_with(socket, TokenExpiredError)
    except* (RateLimitedError, StoreUnavailableError) as refused:
        # Of the socket itself: a request's is told in a frame.
        await _close_with(socket, type(first_of(refused)))
    except* _SlowError:
        # The close frame could not be written either; returning drops the connection.
        READERS_GONE.labels("slow").inc()


async def _close_with(socket: AnySocket, reason: type[GatewayError]) -> None:
    READERS_GONE.labels(reason.code).inc()
    await socket.close(reason.ws_close_code, reason=reason.code)


class _SlowError(Exception):
    """The client does not read."""


class _Stream:
    """One request, with the state that an abort of it needs."""

    def __init__(self, request_id: str, session_id: SessionId) -> None:
        self.request_id = request_id
        self.session_id = session_id
        self.run_id: RunId | None = None
        self.opened = asyncio.Event()
        """Set once `run_id` is known, or will never be."""
        self.is_queued = False
        """It waits for its turn: a stop of it stops what comes before it, and pauses the queue."""
        self.concluded = False
        """An `error` or `finish` chunk was sent: what the client does next is no stop."""
        self.left = False
        self.task: asyncio.Task[None] | None = None
        self._reading = False

    def begin(self) -> bool:
        """Start to read; False if the client has left already."""
        self._reading = not self.left
        return self._reading

    def leave(self) -> None:
        """Stop reading. A run that is being opened is opened all the same, and continues."""
        self.left = True
        if self._reading and self.task is not None:
            self.task.cancel()


class _PendingStop(Struct, eq=False):
    """An abort that will be a stop, unless the chat is resumed.

    Attributes:
        verdict: whether it is one; decided by time if nothing comes.
        task: ends when the run has ended, or the abort was none.
    """

    verdict: asyncio.Future[bool]
    task: asyncio.Task[None]


class ChatSocket:
    """One connection.

    Args:
        level: of clients that name no other in a frame's headers.
        abort_grace_s: see `ABORT_GRACE_S`.
    """

    def __init__(
        self,
        socket: AnySocket,
        api: Api,
        caller: Caller,
        level: int,
        *,
        abort_grace_s: float = ABORT_GRACE_S,
    ) -> None:
        self._socket = socket
        self._api = api
        self._caller = caller
        self._level = level
        self._abort_grace_s = abort_grace_s
        self._streams: dict[str, _Stream] = {}
        self._newest: dict[SessionId, _Stream] = {}
        self._stops: dict[SessionId, _PendingStop] = {}
        self._expired = False

    async def serve(self) -> None:
        """Take frames until the client is gone, or its token; stops under way are carried out.

        Raises:
            TokenExpiredError: nothing is under way any more.
            ExceptionGroup: of DrainingError or _SlowError.
        """
        async with asyncio.TaskGroup() as self._tasks:
            while (data := await self._receive()) is not None:
                await self._take(data)
            for stream in list(self._streams.values()):
                stream.leave()
        if self._expired:
            raise TokenExpiredError("unable to continue; connect again with a new token")

    async def _receive(self) -> str | bytes | None:
        try:
            async with asyncio.timeout_at(loop_time_of(self._caller.expires_at)):
                message = await self._socket.receive()
        except TimeoutError:
            self._expired = True
            return None
        if message["type"] == "websocket.disconnect":
            return None
        return message.get("text") or message.get("bytes") or b""  # type: ignore[return-value]

    async def _take(self, data: str | bytes) -> None:
        try:
            frame = await off_loop(data, ws.decode_client_frame, data)
            if isinstance(frame, ws.AbortFrame):
                self._abort(frame.request_id)
            else:
                self._begin(frame)
        except (GatewayError, RemoteProtocolError) as error:
            await self._refuse(_request_id(data), error)

    # -- requests -----------------------------------------------------------------------------

    def _begin(self, frame: ws.SendFrame | ws.ResumeFrame) -> None:
        """Start to answer a request.

        Raises:
            GatewayError: it cannot be answered; nothing was changed.
        """
        if frame.request_id in self._streams:
            raise ConflictError("unable to answer; another request has this requestId")
        if len(self._streams) >= self._api.settings.max_socket_requests:
            raise TooManyRequestsError("unable to answer; too many requests on one connection")
        version = frame.headers.get(parameters.VERSION_HEADER)
        level = self._level if version is None else parameters.level_of_version(version)
        if isinstance(frame, ws.SendFrame):
            headers = self._api.forwarded_headers(frame.headers, self._socket.headers)
            start = start_request(frame.chat, headers)
            session_id = start.session_id
            stop = self._decide(session_id, stop=True)

            async def open_reader() -> RunReader | None:
                if stop is not None:
                    await stop.task
                async with self._api.limits.sending(
                    self._caller,
                    session_id,
                    start.request_key,
                    streams=False,
                    cost=self._api.sessions.cost(start),
                ) as grant:
                    return await self._api.sessions.start(self._caller, start, grant.run)
        else:
            session_id = parameters.session_id(frame.id)
            if frame.last_sequence is not None:
                raise ConflictError("unable to continue a request; resume without lastSequence")
            self._decide(session_id, stop=False)

            async def open_reader() -> RunReader | None:
                return await self._api.sessions.resume(self._caller, session_id)

        stream = _Stream(frame.request_id, session_id)
        self._streams[stream.request_id] = self._newest[session_id] = stream
        stream.task = self._tasks.create_task(
            self._answer(stream, open_reader, level, sends=isinstance(frame, ws.SendFrame)),
            name=f"socket request {stream.request_id}",
        )

    async def _answer(
        self,
        stream: _Stream,
        open_reader: Callable[[], Awaitable[RunReader | None]],
        level: int,
        *,
        sends: bool,
    ) -> None:
        try:
            reader = await open_reader()
            if reader is None:
                await self._send([ws.no_active_frame(stream.request_id)])
            else:
                if reader.run is None:
                    stream.is_queued = True
                else:
                    stream.run_id = reader.run.id
                stream.opened.set()
                async with reader:
                    await self._read(stream, reader, level)
        except (DrainingError, _SlowError):
            raise
        except Exception as error:
            if sends and not stream.opened.is_set():
                SENDS_REFUSED.labels(as_gateway_error(error).code).inc()
            if not stream.left:
                await self._refuse(stream.request_id, error)
        finally:
            stream.opened.set()
            del self._streams[stream.request_id]
            if self._newest.get(stream.session_id) is stream:
                del self._newest[stream.session_id]

    async def _read(self, stream: _Stream, reader: RunReader, level: int) -> None:
        if not stream.begin():
            return
        with READERS.labels("socket").track_inprogress():
            await self._send([ws.start_frame(stream.request_id)])
            sequence = 0
            async for item in reader:
                if isinstance(item, Idle):
                    continue  # the server pings
                frames = ws.chunk_frames(stream.request_id, item, level, sequence)
                sequence += len(frames)
                stream.concluded |= holds(item, "error") or holds(item, "finish")
                await self._send(frames)
            await self._send([ws.end_frame(stream.request_id)])

    async def _refuse(self, request_id: str, error: Exception) -> None:
        failure = as_gateway_error(error)
        ERRORS.labels(failure.code).inc()
        await self._send([ws.error_frame(request_id, error_body(failure).decode())])

    async def _send(self, frames: Iterable[bytes]) -> None:
        try:
            with closing(self._api.deadline.waiter()) as writing, writing:
                for frame in frames:
                    await self._socket.send(
                        {"type": "websocket.send", "text": frame.decode(), "bytes": None}
                    )
        except TimeoutError:
            raise _SlowError from None
        except (OSError, WebSocketDisconnect):
            return  # the connection is lost, as `serve` is about to hear

    # -- aborts -------------------------------------------------------------------------------

    def _abort(self, request_id: str) -> None:
        stream = self._streams.get(request_id)
        if stream is None or stream.left:
            return
        is_newest = self._newest.get(stream.session_id) is stream
        stream.leave()
        if not is_newest or stream.concluded:
            return
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        task = self._tasks.create_task(
            self._stop_unless_resumed(stream, verdict), name=f"socket abort {request_id}"
        )
        pending = self._stops[stream.session_id] = _PendingStop(verdict, task)
        task.add_done_callback(lambda _: self._forget(stream.session_id, pending))

    def _decide(self, session_id: SessionId, *, stop: bool) -> _PendingStop | None:
        """Settle whether the chat's last abort was a stop, if that is open."""
        pending = self._stops.get(session_id)
        if pending is not None and not pending.verdict.done():
            pending.verdict.set_result(stop)
        return pending

    async def _stop_unless_resumed(self, stream: _Stream, verdict: asyncio.Future[bool]) -> None:
        try:
            try:
                async with asyncio.timeout(self._abort_grace_s):
                    is_stop = await verdict
            except TimeoutError:
                is_stop = True
            await stream.opened.wait()
            if is_stop and (stream.run_id is not None or stream.is_queued):
                await self._api.sessions.stop(self._caller, stream.session_id, run_id=stream.run_id)
        except GatewayError as error:
            logger.warning("stop_failed session=%s code=%s", stream.session_id, error.code)

    def _forget(self, session_id: SessionId, pending: _PendingStop) -> None:
        if self._stops.get(session_id) is pending:
            del self._stops[session_id]


class _Named(Struct, rename="camel"):
    request_id: str = ""


def _request_id(data: str | bytes) -> str:
    """Return the request id of a frame that could not be read, or an empty one."""
    try:
        return msgspec.json.decode(data, type=_Named).request_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
