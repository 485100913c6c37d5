"""The frames of the AI SDK's `WebSocketChatTransport`.

One connection carries many requests, each with an id that the client chooses. A `send` or
`resume` is answered by `start`, then `chunk` frames numbered from 0 without a gap, then `end`
or `error`; or by `no-active`.

Source: `WebSocketChatTransport` and `safeValidateWebSocketChatTransportRequest` in ai 7.0.173
(`src/ui/websocket-chat-transport.ts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.parts import Fields, json_of
from midstream.protocol.requests import ChatRequest, chat_request
from midstream.protocol.surrogates import well_formed

if TYPE_CHECKING:
    from midstream.protocol.batch import ChunkBatch


class SendFrame(Struct, frozen=True, kw_only=True):
    """A message for a chat. `chat` is the request of a POST, and has an id.

    `headers` are those that the application gave the transport: a browser cannot set any on
    the connection itself.
    """

    request_id: str
    headers: dict[str, str]
    chat: ChatRequest


class ResumeFrame(Struct, frozen=True, kw_only=True):
    """A request to resume the chat's open run.

    `last_sequence`: the number of the last chunk that this very request has seen, or None;
    ai 7 never sets it. `body`: the application's fields, as a JSON object.
    """

    request_id: str
    id: str
    headers: dict[str, str]
    last_sequence: int | None
    body: Raw


class AbortFrame(Struct, frozen=True, kw_only=True):
    """A request's reader has left, which is not always a person's stop."""

    request_id: str


ClientFrame: TypeAlias = SendFrame | ResumeFrame | AbortFrame


class _Abort(Struct, rename="camel", tag="abort"):
    request_id: str


class _Resume(Struct, rename="camel", tag="resume"):
    request_id: str
    id: str
    headers: dict[str, str]
    body: dict[str, Raw]
    last_sequence: Annotated[int, Meta(ge=0)] | None = None


class _Send(Struct, rename="camel", tag="send"):
    request_id: str
    id: str
    headers: dict[str, str]
    body: dict[str, Raw]
    trigger: Raw
    messages: Raw
    message_id: Raw = Raw(b"null")


_frame_decoder: Final = msgspec.json.Decoder(_Abort | _Resume | _Send)


def decode_client_frame(data: bytes | str) -> ClientFrame:
    """Read a frame from a client.

    Raises:
        MalformedFrameError: it is not JSON, has an unknown type, or not its type's shape.
    """
    try:
        frame = _frame_decoder.decode(well_formed(data.encode() if isinstance(data, str) else data))
        if isinstance(frame, _Abort):
            return AbortFrame(request_id=frame.request_id)
        if isinstance(frame, _Resume):
            return ResumeFrame(
                request_id=frame.request_id,
                id=frame.id,
                headers=frame.headers,
                last_sequence=frame.last_sequence,
                body=json_of(frame.body),
            )
        return SendFrame(
            request_id=frame.request_id,
            headers=frame.headers,
            chat=chat_request(frame.body | _request_fields(frame)),
        )
    except UNREADABLE as error:
        raise MalformedFrameError(f"unable to read the frame; {error}") from None


def _request_fields(frame: _Send) -> Fields:
    return {
        "id": json_of(frame.id),
        "messages": frame.messages,
        "trigger": frame.trigger,
        "messageId": frame.message_id,
    }


def start_frame(request_id: str) -> bytes:
    """Make the frame that begins an answer; chunks follow."""
    return _frame("start", request_id)


def chunk_frames(request_id: str, batch: ChunkBatch, level: int, sequence: int) -> list[bytes]:
    """Make a frame for each chunk of a batch that a client of `level` accepts.

    Args:
        request_id: the request to answer.
        batch: the chunks.
        level: the client's level.
        sequence: the number of the first frame: the count of the request's frames so far.
    """
    head = b'{"type":"chunk","requestId":%b,"sequence":' % msgspec.json.encode(request_id)
    return [
        b'%b%d,"chunk":%b}' % (head, number, line)
        for number, line in enumerate(batch.lines(level), sequence)
    ]


def end_frame(request_id: str) -> bytes:
    """Make the frame that ends an answer whose `finish` was sent."""
    return _frame("end", request_id)


def error_frame(request_id: str, error_text: str) -> bytes:
    """Make the frame that refuses a request, or ends its answer early."""
    return _frame("error", request_id, errorText=error_text)


def no_active_frame(request_id: str) -> bytes:
    """Make the frame for a chat without an open run."""
    return _frame("no-active", request_id)


def _frame(kind: str, request_id: str, **fields: str) -> bytes:
    return msgspec.json.encode({"type": kind, "requestId": request_id, **fields})
