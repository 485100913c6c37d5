"""Decodes the body that the AI SDK's transports send for a message.

`DefaultChatTransport` sends `{...body, id, messages, trigger, messageId}`; its `body` is the
application's and also holds our own fields. `WorkflowChatTransport` sends `{...body, messages}`
without an id. Applications that prepare the request themselves often send only the last
message, as `message`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError, OversizedError
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import Fields, fields_of, json_of

SendTrigger: TypeAlias = Literal["submit-message", "regenerate-message"]
OnActive: TypeAlias = Literal["refuse", "interrupt", "queue", "steer"]
OnUndelivered: TypeAlias = Literal["queue", "return"]

MAX_FIELDS: Final = 1_000
"""Fields of a body; applications add some of their own."""

MAX_MESSAGES: Final = 10_000
"""Messages in a client's copy of its conversation. Each costs microseconds, new or not."""

MAX_PARTS: Final = 10_000
"""Parts of the last message. An answer with many tool calls has hundreds."""


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A request for an answer.

    Attributes:
        id: the chat's, or None (`WorkflowChatTransport`).
        messages: the client's copy of the conversation, oldest first, never empty; or only
            its last message.
        trigger: `submit-message` by default.
        message_id: the message to edit, regenerate or continue.
        on_active: `refuse` the send, `interrupt` the session's open run, `queue` the send behind
            it, or `steer` the run with it; None: the client does not say.
        wants_back: with `steer`, a message that the run could not have is refused and not queued.
        agent: the agent asked for, or None.
        model: the model asked for, or None.
        request_key: the client's key of this send (`requestId` in the body), or None.
        parent_id: the message that a new one follows; None: it begins a conversation of its
            own; UNSET: the client does not say.
        head: the last message that the client showed; None: none; UNSET: it does not say.
        rest: all other fields of the body, as a JSON object.
    """

    id: str | None
    messages: tuple[UIMessage, ...]
    trigger: SendTrigger
    message_id: str | None
    on_active: OnActive | None
    agent: str | None
    model: str | None
    request_key: str | None
    rest: Raw
    parent_id: str | UnsetType | None = UNSET
    head: str | UnsetType | None = UNSET
    wants_back: bool = False


class _Known(Struct, rename="camel"):
    id: str | None = None
    messages: list[Raw] | None = None
    message: Raw | UnsetType = UNSET
    trigger: SendTrigger | None = None
    message_id: str | None = None
    on_active: OnActive | None = None
    agent: str | None = None
    model: str | None = None
    request_id: str | None = None
    on_undelivered: OnUndelivered | None = None
    parent_id: str | UnsetType | None = UNSET
    head: str | UnsetType | None = UNSET


_known_decoder: Final = msgspec.json.Decoder(_Known)
_KNOWN_FIELDS: Final = frozenset(_Known.__struct_encode_fields__)


def decode_chat_request(body: bytes) -> ChatRequest:
    """Read the body of a POST. A null counts as absent, except in `parentId` and `head`.

    Raises:
        MalformedFrameError: it is not a JSON object, has no messages, or has a field of a
            wrong type.
        OversizedError: it has more fields, messages or parts than a request may hold.
    """
    try:
        return chat_request(fields_of(body))
    except UNREADABLE as error:
        raise MalformedFrameError(f"unable to read the request; {error}") from None


def chat_request(fields: Fields) -> ChatRequest:
    """Read a request from the fields of its body.

    Raises:
        MalformedFrameError: there are no messages, or one of them is not a message.
        OversizedError: it has more fields, messages or parts than a request may hold.
        msgspec.ValidationError: a field has a wrong type.
    """
    check_size("fields", len(fields), MAX_FIELDS)
    known = _known_decoder.decode(json_of(fields))
    messages = known.messages
    if messages is None:
        messages = [] if known.message is UNSET else [known.message]
    if not messages:
        raise MalformedFrameError("unable to read the request; it holds no messages")
    check_size("messages", len(messages), MAX_MESSAGES)
    parsed = tuple(map(UIMessage.parse, messages))
    check_size("parts in the last message", len(parsed[-1].parts), MAX_PARTS)
    return ChatRequest(
        id=known.id,
        messages=parsed,
        trigger=known.trigger or "submit-message",
        message_id=known.message_id,
        on_active=known.on_active,
        agent=known.agent,
        model=known.model,
        request_key=known.request_id,
        wants_back=known.on_undelivered == "return",
        parent_id=known.parent_id,
        head=known.head,
        rest=json_of({k: v for k, v in fields.items() if k not in _KNOWN_FIELDS}),
    )


def check_size(what: str, count: int, limit: int) -> None:
    """Raise OversizedError if `count` is over `limit`; `what` names the things counted."""
    if count > limit:
        raise OversizedError(f"unable to read the request; it has {count} {what}, over {limit}")
