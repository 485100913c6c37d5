"""Responses that stream a run: which encoding, which chunks, which headers."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from msgspec import Struct

from midstream.api.context import json_response
from midstream.api.parameters import client_level, client_of, start_index
from midstream.api.streaming.stream_response import (
    DATA_STREAM,
    PLAIN_TEXT,
    RUN_EVENTS,
    StreamCutError,
    StreamResponse,
)
from midstream.errors import InvalidRequestError
from midstream.ids import MessageId, RunId
from midstream.protocol.batch import Encoding
from midstream.protocol.codec import decode_lines
from midstream.protocol.sse import DONE
from midstream.protocol.v4 import V4Encoder
from midstream.protocol.vocabulary import LOWEST_LEVEL
from midstream.sessions.queued import SteerAnswer
from midstream.sessions.sentences import is_note
from midstream.sessions.types import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Request
    from litestar.types import ASGIApp

    from midstream.aio.idle_timeout import IdleTimeout
    from midstream.ids import SessionId
    from midstream.limits.holds import Hold
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.access import Caller
    from midstream.sessions.queued import Queued
    from midstream.sessions.types import RunReader
    from midstream.settings.sections import ServerSettings

PROTOCOL_HEADER: Final = "x-vercel-ai-ui-message-stream"
V4_HEADER: Final = "x-vercel-ai-data-stream"
RUN_HEADER: Final = "x-midstream-run-id"
WORKFLOW_RUN_HEADER: Final = "x-workflow-run-id"
WORKFLOW_TAIL_HEADER: Final = "x-workflow-stream-tail-index"
EXPOSED_HEADERS: Final = (
    PROTOCOL_HEADER,
    V4_HEADER,
    RUN_HEADER,
    WORKFLOW_RUN_HEADER,
    WORKFLOW_TAIL_HEADER,
    "retry-after",
)
"""Headers that pages of other origins may read."""

_FINISH: Final = b'data: {"type":"finish"}\n\n'


class Protocol(StrEnum):
    """`?protocol=`: the encoding of a stream."""

    DATA = "data"
    """The UI message stream of ai 5 and later."""
    TEXT = "text"
    V4 = "v4"
    """The data stream of ai 4."""


_NAMED_IN: Final = {Protocol.DATA: PROTOCOL_HEADER, Protocol.V4: V4_HEADER}
_FRAMINGS: Final = {
    Protocol.DATA: RUN_EVENTS,
    Protocol.TEXT: PLAIN_TEXT,
    Protocol.V4: DATA_STREAM,
}


class View(Struct, frozen=True, kw_only=True):
    """The form in which a client reads a run.

    Attributes:
        level: the AI SDK's major version that it speaks.
        from_index: its chunks one by one, from this index on; negative: counted from the end.
        counts: whether the client may go on by the number of chunks that it had: it gets no notes.
    """

    level: int
    protocol: Protocol
    from_index: int | None
    counts: bool = False

    @classmethod
    def asked_for(cls, request: Request[Any, Any, Any], settings: ServerSettings) -> View:
        """Read the form from a request.

        Raises:
            InvalidRequestError: a parameter that cannot be read.
        """
        try:
            protocol = Protocol(request.query_params.get("protocol", Protocol.DATA))
        except ValueError:
            raise InvalidRequestError(
                "unable to use this protocol; it must be `data`, `text` or `v4`"
            ) from None
        from_index = start_index(request)
        # The POST of `WorkflowChatTransport`, as no other's, is not JSON.
        is_json = "json" in request.headers.get("content-type", "")
        return cls(
            level=client_level(request, settings.client_level),
            protocol=protocol,
            from_index=from_index,
            counts=from_index is not None or (request.method == "POST" and not is_json),
        )

    def probe(self, request: Request[Any, Any, Any], caller: Caller) -> Probe | None:
        """Return the identity of a client that names no run and no position; else None."""
        says = {"runId", "after", "startIndex"} & set(request.query_params)
        if says or "last-event-id" in request.headers or self.protocol is not Protocol.DATA:
            return None
        return Probe(client_of(request, caller), waits=self.level > LOWEST_LEVEL)


def run_stream(
    view: View,
    reader: RunReader,
    session_id: SessionId,
    *,
    deadline: IdleTimeout,
    hold: Hold | None = None,
) -> ASGIApp:
    """Return the response that streams a run as its client wants it; it keeps the hold."""
    run = reader.run
    # A queued send has no run yet; its chat leads to it.
    headers = {WORKFLOW_RUN_HEADER: session_id if run is None else f"{session_id}~{run.id}"}
    if run is not None:
        headers[RUN_HEADER] = run.id
    if view.protocol in _NAMED_IN:
        headers[_NAMED_IN[view.protocol]] = "v1"
    if view.from_index is not None and view.from_index < 0:
        # We answer with all of them, and a tail that makes the client count from 0: it drops
        # what it has no beginning of.
        headers[WORKFLOW_TAIL_HEADER] = str(-view.from_index - 1)
    return StreamResponse(
        reader,
        _encoder(view),
        _FRAMINGS[view.protocol],
        headers=headers,
        deadline=deadline,
        kind="run",
        hold=hold,
    )


class _QueuedAnswer(Struct, frozen=True, rename="camel", omit_defaults=True):
    queued: _QueuedPlace
    run_id: RunId | None = None


class _QueuedPlace(Struct, frozen=True):
    id: MessageId
    position: int


class _SteeredAnswer(Struct, frozen=True):
    steered: SteerAnswer


def queued_response(queued: Queued | SteerAnswer, request: Request[Any, Any, Any]) -> ASGIApp:
    """Return the answer to a send that nobody waits for."""
    if isinstance(queued, SteerAnswer):
        answer = json_response(_SteeredAnswer(queued))
    else:
        place = _QueuedPlace(queued.id, queued.position)
        answer = json_response(_QueuedAnswer(place, queued.run_id))
    answer.status_code = 202
    answer.headers["preference-applied"] = "respond-async"
    return answer.to_asgi_response(app=None, request=request)


def nothing_left(request: Request[Any, Any, Any]) -> ASGIApp:
    """Return a stream of `finish` alone."""
    return Response(
        _FINISH + DONE,
        media_type=RUN_EVENTS.media_type,
        headers={PROTOCOL_HEADER: "v1", "cache-control": "no-cache, no-transform"},
    ).to_asgi_response(app=None, request=request)


def holds(batch: ChunkBatch, kind: str) -> bool:
    """Return whether a batch has a chunk of one of our own types, without decoding any."""
    head = b'{"type":"%b"' % kind.encode()
    return batch.payload.startswith(head) or b"\n" + head in batch.payload


def _encoder(view: View) -> Callable[[ChunkBatch], bytes]:
    if view.protocol is Protocol.TEXT:
        return _text
    if view.protocol is Protocol.V4:
        v4 = V4Encoder()
        return lambda batch: v4.encode(decode_lines(batch.payload))
    if view.from_index is not None:
        return _without_notes(_Tail(view.level, max(0, view.from_index)))
    events = _events_of(view.level)
    return _without_notes(events) if view.counts else events


def _without_notes(encode: Callable[[ChunkBatch], bytes]) -> Callable[[ChunkBatch], bytes]:
    return lambda batch: b"" if is_note(batch) else encode(batch)


@cache
def _events_of(level: int) -> Callable[[ChunkBatch], bytes]:
    """Return the encoder that all readers of a level share."""
    return lambda batch: batch.frame(Encoding.SSE, level)


def _text(batch: ChunkBatch) -> bytes:
    """Encode the text of a batch; a failed run can only be told by breaking off."""
    text = batch.frame(Encoding.TEXT, LOWEST_LEVEL)
    if holds(batch, "error"):
        raise StreamCutError(text)
    return text


class _Tail:
    """The chunks from an index on, counted as this client sees them."""

    def __init__(self, level: int, index: int) -> None:
        self._level = level
        self._left_out = index

    def __call__(self, batch: ChunkBatch) -> bytes:
        lines = batch.lines(self._level)
        left_out = min(self._left_out, len(lines))
        self._left_out -= left_out
        return b"".join([b"data: %b\n\n" % line for line in lines[left_out:]])
