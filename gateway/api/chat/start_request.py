"""From a decoded request to what the sessions are asked: ids checked, defaults filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.api.off_loop import off_loop
from midstream.api.parameters import session_id
from midstream.errors import SessionNotFoundError
from midstream.ids import MessageId, SessionId, check_id, new_id
from midstream.protocol.messages import UIMessage
from midstream.protocol.requests import decode_chat_request
from midstream.protocol.v4_requests import V4Request
from midstream.sessions.types import StartRequest
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import UnsetType

    from midstream.protocol.requests import ChatRequest
    from midstream.sessions.access import Caller
    from midstream.sessions.contract import SessionService


def read_start(body: bytes, headers: Mapping[str, str], client: str | None = None) -> StartRequest:
    """Read the body of a POST.

    Args:
        headers: those that agents are told.
        client: see `StartRequest`.

    Raises:
        MalformedFrameError: not what the AI SDK's transports send.
        OversizedError: more messages, parts or fields than a request may hold.
        InvalidRequestError: an id that cannot be one.
    """
    return start_request(decode_chat_request(body), headers, client)


async def read_v4_start(
    body: bytes, headers: Mapping[str, str], caller: Caller, sessions: SessionService
) -> StartRequest:
    """Read the body that ai 4 sends: what it means shows beside the session's messages.

    Raises:
        MalformedFrameError: not what ai 4 sends.
        InvalidRequestError: an id that cannot be one.
        StoreUnavailableError: the session cannot be read.
    """
    request = await off_loop(body, V4Request, body)
    stored: list[UIMessage] = []
    if request.id is not None:
        try:
            snapshot = await sessions.snapshot(caller, session_id(request.id))
            stored = list(map(UIMessage.parse, snapshot.messages))
        except SessionNotFoundError:
            pass  # the first message
    return start_request(await off_loop(body, request.beside, stored), headers)


def start_request(
    chat: ChatRequest, headers: Mapping[str, str], client: str | None = None
) -> StartRequest:
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
        wants_back=chat.wants_back,
        agent=chat.agent,
        model=chat.model,
        request_key=None if key is None else check_id(key, "request id"),
        client=client,
        parent_id=_place(chat.parent_id),
        head=_place(chat.head),
        body=chat.rest,
        headers=headers,
    )


def _place(message_id: str | UnsetType | None) -> MessageId | UnsetType | None:
    """Type a message's id; one that cannot be one is one that no session has."""
    return MessageId(message_id) if isinstance(message_id, str) else message_id
