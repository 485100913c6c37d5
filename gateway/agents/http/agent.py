"""An agent behind HTTP: a backend that answers the AI SDK's own request with its stream.

The request is what `DefaultChatTransport` sends, with the server's history in place of the
client's; the answer is checked chunk by chunk (`answer_stream.py`). A route that works without the
gateway works behind it, and becomes durable.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from msgspec import Struct

from midstream.agents.base import AgentTraits
from midstream.agents.http.answer_stream import BackendAnswer
from midstream.agents.http.steering import BackendSteers, SteerReply, reply_of
from midstream.aio.idle_timeout import IdleTimeout
from midstream.errors import AgentError
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from midstream.agents.base import AgentRequest
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage

logger = logging.getLogger(__name__)

BEGINNING_S: Final = 2.0
MAX_BEGINNING_BYTES: Final = 2000
"""Limits on reading the body of an answer that is no stream, for the log."""

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}")


class HttpAgentConfig(Struct, frozen=True, kw_only=True):
    """Address and limits of a backend.

    Attributes:
        steer_url: takes messages for the answers that it is writing; empty: none does.
        forward_headers: names, in lower case, of the client's headers to forward.
        secret_headers: sent with each request; they replace forwarded ones.
        first_byte_s: for its answer to begin, the connection included.
        between_bytes_s: for silence within its answer.
        max_bytes: of one answer.
    """

    name: str
    url: str
    steer_url: str = ""
    models: Sequence[str] = ()
    forward_headers: Sequence[str] = ()
    secret_headers: Mapping[str, str] = {}
    first_byte_s: float = 120.0
    between_bytes_s: float = 300.0
    max_bytes: int = 64 * 1024 * 1024


class HttpAgent:
    """Implements `AnyAgent` with a backend. Close it."""

    def __init__(self, config: HttpAgentConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self.traits = AgentTraits(steers=bool(config.steer_url))

    @property
    def name(self) -> str:
        """The name in clients' requests."""
        return self._config.name

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks. See `AnyAgent.stream`; leaving closes the connection.

        Raises:
            AgentError: the backend cannot be reached, takes too long, reports a failure, or
                sends no UI message stream. Chunks yielded before stand.
        """
        config = self._config
        answer = BackendAnswer(request.message_id, request.continued, max_bytes=config.max_bytes)
        response = await self._send(request)
        steers = self._steers(request)
        silence = IdleTimeout(config.between_bytes_s).waiter()
        try:
            await self._check(response)
            if steers is not None:
                steers.begin()
            with _network_errors("unable to finish this answer"):
                while not answer.ended:
                    with silence:
                        data = await response.content.readany()
                    chunks = answer.receive_data(data) if data else answer.receive_eof()
                    if chunks and steers is None:
                        yield chunks
                    elif chunks and steers is not None:
                        async for placed in steers.place(chunks):
                            yield placed
        except AgentError:
            if not answer.finished:
                raise
            # The connection may fail behind `finish`: the answer is whole.
            if chunks := answer.receive_eof():
                yield chunks
        finally:
            silence.close()
            response.close()
            if steers is not None:
                await steers.end()
        if answer.failure is not None:
            raise answer.failure

    async def close(self) -> None:
        """Close open connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: AgentRequest) -> aiohttp.ClientResponse:
        config = self._config
        with _network_errors("unable to answer"):
            async with asyncio.timeout(config.first_byte_s):
                return await self._http().post(
                    config.url,
                    data=io.BytesIO(request.as_sent()),
                    headers=self._headers(request),
                    allow_redirects=False,
                )

    def _steers(self, request: AgentRequest) -> BackendSteers | None:
        """Return what brings people's messages to the backend; None if it takes none."""
        if not self._config.steer_url or request.steering is None:
            return None
        return BackendSteers(request.run_id, request.steering, partial(self._tell, request))

    async def _tell(self, request: AgentRequest, message: UIMessage) -> SteerReply:
        """Send the backend a message for the answer that it is writing; never fails."""
        config = self._config
        said = {"id": request.session_id, "runId": request.run_id, "message": message.raw}
        status, problem = None, ""
        try:
            async with asyncio.timeout(config.first_byte_s):
                response = await self._http().post(
                    config.steer_url,
                    data=msgspec.json.encode(said),
                    headers=self._headers(request, accept="application/json"),
                    allow_redirects=False,
                )
            try:
                status, problem = response.status, await _beginning(response)
            finally:
                response.close()
            reply = reply_of(status, problem)
            if status < 300:
                return reply
        except aiohttp.ClientConnectorError as error:
            reply, problem = SteerReply(reason="error"), str(error)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reply, problem = SteerReply(), f"{type(error).__name__} {error}"
        secrets = config.secret_headers.values()
        logger.warning(
            "steer_refused run=%s %s",
            request.run_id,
            quoted(id=message.id, status=status, message=problem, secrets=secrets),
        )
        return reply

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise unless a stream begins; the beginning of another body goes to the log."""
        complaint = _complaint(response)
        if complaint is None:
            return
        error = AgentError(complaint)
        error.note = quoted(
            status=response.status,
            request_id=response.headers.get("x-request-id", ""),
            message=await _beginning(response),
            secrets=self._config.secret_headers.values(),
        )
        raise error

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A kept connection may be closed by the backend in the moment of the next
                # request, which cannot be sent again: it may have been read.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                # One user's cookies are never another's.
                cookie_jar=aiohttp.DummyCookieJar(),
                # Our limits hold on bytes as read, so nothing may decompress behind them.
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        return self._session

    def _headers(self, request: AgentRequest, accept: str = "text/event-stream") -> dict[str, str]:
        allowed = self._config.forward_headers
        return {
            **{name: request.headers[name] for name in allowed if name in request.headers},
            "content-type": "application/json",
            "accept": accept,
            # A server that compresses a stream holds words back until a block is full.
            "accept-encoding": "identity",
            "user-agent": "midstream",
            "x-midstream-run-id": request.run_id,
            **self._config.secret_headers,
        }


def _complaint(response: aiohttp.ClientResponse) -> str | None:
    """Return the reason why no stream begins; None if one does."""
    status = response.status
    if 300 <= status < 400:
        return f"unable to answer; the agent's backend redirects ({status}), which is not followed"
    if status != 200:
        return f"unable to answer; the agent's backend answered with status {status}"
    if response.headers.get("content-encoding", "identity") != "identity":
        return "unable to answer; the agent's backend compresses its answer, and was told not to"
    kind = response.content_type
    if kind != "text/event-stream":
        shown = kind if _MEDIA_TYPE.fullmatch(kind) else "something else"
        return (
            f"unable to answer; the agent's backend answered with {shown} and not with a stream "
            "of events"
        )
    return None


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of a body that is no stream: it may tell the cause."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return ""
    data = b""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(BEGINNING_S):
            while len(data) < MAX_BEGINNING_BYTES and (more := await response.content.readany()):
                data += more
    return data[:MAX_BEGINNING_BYTES].decode("utf-8", "replace")


@contextmanager
def _network_errors(unable: str) -> Iterator[None]:
    """Translate network errors into an AgentError."""
    try:
        yield
    except TimeoutError:
        raise AgentError(f"{unable}; the agent's backend was silent for too long") from None
    except aiohttp.ClientConnectorError as error:
        raise _noted(f"{unable}; the agent's backend cannot be reached", error) from error
    except (aiohttp.ClientError, OSError) as error:
        raise _noted(f"{unable}; the connection to the agent's backend was lost", error) from error


def _noted(sentence: str, cause: Exception) -> AgentError:
    error = AgentError(sentence)
    error.note = quoted(error=type(cause).__name__, message=str(cause))
    return error
