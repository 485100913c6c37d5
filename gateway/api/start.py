"""From a decoded request to what the sessions are asked: ids checked, defaults filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.api.parameters import session_id
from gateway.ids import MessageId, SessionId, check_id, new_id
from gateway.sessions.service import StartRequest
from gateway.store.records import Trigger
from protocol.requests import decode_chat_request

if TYPE_CHECKING:
    from protocol.requests import ChatRequest


def read_start(body: bytes) -> StartRequest:
    """Read the body of a POST.

    Raises:
        MalformedFrameError: not what the AI SDK's transports send.
        InvalidRequestError: an id that cannot be one.
    """
    return start_request(decode_chat_request(body))


def start_request(chat: ChatRequest) -> StartRequest:
    """Return what to start; a request without a chat id begins a session of its own.

    Raises:
        InvalidRequestError: an id that cannot be one.
    """
    message_id, key = chat.message_id, chat.request_key
    return StartRequest(
        session_id=SessionId(new_id("chat")) if chat.id is None else session_id(chat.id),
        messages=chat.messages,
        trigger=Trigger(chat.trigger),
        message_id=None if message_id is None else MessageId(check_id(message_id, "message id")),
        on_active=chat.on_active,
        agent=chat.agent,
        model=chat.model,
        request_key=None if key is None else check_id(key, "request id"),
        body=chat.rest,
    )
