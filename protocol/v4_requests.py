"""The body that ai 4's `useChat` sends: `{...body, id, messages, data}`.

Its messages have no ids, unless the application asks for them (`sendExtraMessageFields`), so an
edit, a retry and a request for another answer look alike. A comparison with the session's
messages tells them apart.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import ToolPart, UIMessage, parse_part
from midstream.protocol.parts import Fields, fields_of, json_of
from midstream.protocol.requests import MAX_MESSAGES, ChatRequest, chat_request, check_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class _Attachment(Struct, rename="camel"):
    url: str
    name: str | None = None
    content_type: str | None = None


class _Invocation(Struct, rename="camel"):
    tool_call_id: str
    tool_name: str
    state: Literal["partial-call", "call", "result"]
    args: Json | UnsetType = UNSET
    # A tool that returns nothing leaves `undefined`, which JSON leaves out.
    result: Json = Raw(b"null")


class _Part(Struct, rename="camel"):
    type: str
    text: str | None = None
    mime_type: str | None = None
    data: Json | UnsetType = UNSET
    tool_invocation: _Invocation | None = None


class _Message(Struct, rename="camel"):
    role: Literal["system", "user", "assistant", "data"]
    id: str | None = None
    content: str = ""
    parts: list[Raw] | None = None
    experimental_attachments: list[_Attachment] | None = msgspec.field(
        name="experimental_attachments", default=None
    )
    tool_invocations: list[_Invocation] | None = None


class _Body(Struct):
    id: str | None = None
    messages: list[_Message] | None = None
    message: _Message | None = None


_body_decoder: Final = msgspec.json.Decoder(_Body)
_part_decoder: Final = msgspec.json.Decoder(_Part)


class V4Request:
    """A request for an answer, before its messages are matched with the session's.

    Attributes:
        id: the chat's, or None.
    """

    def __init__(self, body: bytes) -> None:
        """Read the body of a POST.

        Raises:
            MalformedFrameError: it is not what ai 4 sends, or has no messages.
            OversizedError: it has more messages than a request may hold.
        """
        try:
            self._fields = fields_of(body)
            known = _body_decoder.decode(body)
        except UNREADABLE as error:
            raise MalformedFrameError(f"unable to read the request; {error}") from None
        self.id = known.id
        self._is_last_alone = known.messages is None
        messages = known.messages or ([] if known.message is None else [known.message])
        check_size("messages", len(messages), MAX_MESSAGES)
        # Messages of the role `data` are the application's own, and no model sees them.
        self._messages = [message for message in messages if message.role != "data"]
        if not self._messages:
            raise MalformedFrameError("unable to read the request; it holds no messages")

    def beside(self, stored: Sequence[UIMessage]) -> ChatRequest:
        """Match the request with the session's messages, oldest first.

        A message that the session has gets its id. If the last one is a user's that was
        answered already, it is to be answered again (`reload`). If the session does not have
        it, it is new; its id then depends only on the request and `stored`, so that a retry
        is the same message.

        Raises:
            MalformedFrameError: a part or a field has another shape.
        """
        try:
            places = list(self._places(stored))
            seed = _id_of_last(stored)
            messages = [
                _ui_message(message, None if place is None else stored[place], seed)
                for message, place in zip(self._messages, places, strict=True)
            ]
            fields = {name: raw for name, raw in self._fields.items() if name != "message"}
            fields["messages"] = json_of(messages)
            if self._is_answered(places[-1], stored):
                fields["trigger"] = json_of("regenerate-message")
            return chat_request(fields)
        except UNREADABLE as error:
            raise MalformedFrameError(f"unable to read the request; {error}") from None

    def _is_answered(self, place: int | None, stored: Sequence[UIMessage]) -> bool:
        last = self._messages[-1]
        return (
            place is not None
            and last.role == "user"
            and place + 1 < len(stored)
            and _is_same(last, stored[place])
        )

    def _places(self, stored: Sequence[UIMessage]) -> Iterator[int | None]:
        """Yield the place of each message among the session's, or None."""
        ids = {message.id: index for index, message in enumerate(stored)}
        at = len(stored) - 2 if self._is_last_alone else -1
        for number, message in enumerate(self._messages, 1):
            is_last = number == len(self._messages)
            if message.id is not None:
                place = ids.get(message.id)
            else:
                place = _find(message, stored, at + 1, only_there=is_last)
            if place is not None:
                at = place
            yield place


def _find(
    message: _Message, stored: Sequence[UIMessage], begin: int, *, only_there: bool
) -> int | None:
    """Return the place of a message without an id, at `begin` or after it.

    An answer is recognized by the question before it. For the last message, an equal one
    further on does not count: the messages between were edited away.
    """
    end = begin + 1 if only_there or message.role == "assistant" else len(stored)
    for place in range(max(begin, 0), min(end, len(stored))):
        if _is_same(message, stored[place]):
            return place
    return None


def _is_same(message: _Message, stored: UIMessage) -> bool:
    """Whether a message equals the session's; answers always do, they are the session's own."""
    if message.role != stored.role:
        return False
    return message.role == "assistant" or [
        msgspec.json.decode(json_of(part)) for part in _said(message)
    ] == [msgspec.json.decode(part) for part in stored.parts]


def _id_of_last(stored: Sequence[UIMessage]) -> str:
    return stored[-1].id if stored else ""


def _ui_message(message: _Message, stored: UIMessage | None, seed: str) -> Fields:
    parts = list(_answers(message, stored) if message.role == "assistant" else _said(message))
    given = message.id or (None if stored is None else stored.id)
    return {
        "id": json_of(given or _new_id(message.role, seed, parts)),
        "role": json_of(message.role),
        "parts": json_of(parts),
    }


def _new_id(role: str, seed: str, parts: object) -> str:
    content = msgspec.json.encode([role, seed, parts])
    return f"v4_{hashlib.sha256(content).hexdigest()[:24]}"


def _said(message: _Message) -> Iterator[Mapping[str, object]]:
    """Yield the parts of a person's message: text, then files."""
    parts = [_part_decoder.decode(raw) for raw in message.parts or ()]
    texts = [part.text for part in parts if part.type == "text" and part.text]
    for text in texts or ([message.content] if message.content else []):
        yield {"type": "text", "text": text}
    for part in parts:
        if part.type == "file" and part.mime_type is not None and part.data is not UNSET:
            data = msgspec.json.decode(part.data, type=str)
            url = f"data:{part.mime_type};base64,{data}"
            yield {"type": "file", "mediaType": part.mime_type, "url": url}
    for attachment in message.experimental_attachments or ():
        name = {} if attachment.name is None else {"filename": attachment.name}
        kind = attachment.content_type or _media_type(attachment.url)
        yield {"type": "file", "mediaType": kind, "url": attachment.url, **name}


def _media_type(url: str) -> str:
    head = url.partition(",")[0].removeprefix("data:") if url.startswith("data:") else ""
    return head.partition(";")[0] or "application/octet-stream"


def _answers(message: _Message, stored: UIMessage | None) -> Iterator[Mapping[str, object]]:
    """Yield the calls of an answer that have results, as parts of the session's message.

    The rest of the answer is the session's own, and the client's copy of it is ignored.
    """
    types = {} if stored is None else _call_types(stored)
    parts = [_part_decoder.decode(raw) for raw in message.parts or ()]
    calls = [part.tool_invocation for part in parts if part.tool_invocation is not None]
    for call in calls or message.tool_invocations or ():
        if call.state != "result":
            continue
        kind = types.get(call.tool_call_id, f"tool-{call.tool_name}")
        yield {
            "type": kind,
            **({"toolName": call.tool_name} if kind == "dynamic-tool" else {}),
            "toolCallId": call.tool_call_id,
            "state": "output-available",
            "input": Raw(b"{}") if call.args is UNSET else call.args,
            "output": call.result,
        }


def _call_types(stored: UIMessage) -> dict[str, str]:
    calls: dict[str, str] = {}
    for raw in stored.parts:
        try:
            part = parse_part(raw)
        except MalformedFrameError:
            continue
        if isinstance(part, ToolPart):
            calls[part.tool_call_id] = part.type
    return calls
