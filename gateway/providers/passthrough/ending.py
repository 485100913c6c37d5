"""The end of a provider's stream that was stopped on the way: as its SDK wants to see one.

An `Ending` reads the events that have gone to the caller, and writes the ones that close
what they left open. Their last one says `midstream_stopped`, which SDKs hand on as a field
that they do not know.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec import Raw, Struct

from midstream.providers.openai_responses.stream.items import ItemPlaces
from midstream.providers.passthrough.call import NO_JSON, Wire
from midstream.providers.stream.loose import Side, reader

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

STOPPED_FIELD: Final = "midstream_stopped"
STOPPED_COMMENT: Final = b": midstream-stopped\n\n"

_encode = msgspec.json.encode


class Ending(Protocol):
    """Follows one stream."""

    def receive(self, event: bytes) -> None:
        """Take one event's JSON. Raises msgspec.MsgspecError for what cannot be read."""
        ...

    def close(self) -> bytes:
        """Return the events that end the stream; empty if it has its end."""
        ...


# -- Chat Completions ------------------------------------------------------------------------


class _Choice(Struct):
    index: Side[int] = 0
    finish_reason: Side[str | None] = None


class _ChatChunk(Struct):
    id: Side[str | None] = None
    created: Side[int | None] = None
    model: Side[str | None] = None
    choices: list[_Choice] | None = None


_read_chat = reader(_ChatChunk)


class ChatEnding:
    """Closes the choices that have no reason yet."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._head: Json = {"id": new_id(), "created": int(time.time()), "model": ""}
        self._open: dict[int, None] = {0: None}
        self._begun: set[int] = set()
        self._done = False
        self._decode = _read_chat

    def receive(self, event: bytes) -> None:
        """See `Ending`."""
        if event == b"[DONE]":
            self._done = True
            return
        chunk = self._decode(event)
        if chunk.id is not None:
            self._head = {"id": chunk.id, "created": chunk.created, "model": chunk.model}
        for choice in chunk.choices or ():
            self._begun.add(choice.index)
            if choice.finish_reason is None:
                self._open[choice.index] = None
            else:
                self._open.pop(choice.index, None)

    def close(self) -> bytes:
        """See `Ending`. The reason is `stop`: no tool is to be executed."""
        if self._done:
            return b""
        chunk = {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [
                {
                    "index": index,
                    # Helpers insist on a role, which comes with a choice's first delta.
                    "delta": {} if index in self._begun else {"role": "assistant", "content": ""},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
                for index in self._open
            ],
            STOPPED_FIELD: True,
        }
        return STOPPED_COMMENT + b"data: %b\n\ndata: [DONE]\n\n" % _encode(chunk)


# -- Anthropic Messages ----------------------------------------------------------------------


class _Usage(Struct, frozen=True):
    output_tokens: Side[int] = 0


class _Message(Struct):
    usage: Side[_Usage] = _Usage()


class _MessagesEvent(Struct):
    type: str
    index: Side[int] = 0
    message: Side[_Message | None] = None


_read_messages = reader(_MessagesEvent)


class MessagesEnding:
    """Closes the blocks that are open, and the message."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._open: dict[int, None] = {}
        self._used = 0
        self._begun = self._delta = self._done = False
        self._decode = _read_messages

    def receive(self, event: bytes) -> None:
        """See `Ending`."""
        value = self._decode(event)
        match value.type:
            case "message_start":
                self._begun = True
                self._used = 0 if value.message is None else value.message.usage.output_tokens
            case "content_block_start":
                self._open[value.index] = None
            case "content_block_stop":
                self._open.pop(value.index, None)
            case "message_delta":
                self._delta = True
            case "message_stop" | "error":
                self._done = True

    def close(self) -> bytes:
        """See `Ending`. The reason is `end_turn`."""
        if self._done:
            return b""
        frames = [STOPPED_COMMENT]
        if not self._begun:
            frames.append(_named("message_start", {"message": self._message()}))
        frames += [_named("content_block_stop", {"index": index}) for index in self._open]
        if not self._delta:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            fields = {"delta": delta, "usage": {"output_tokens": self._used}}
            frames.append(_named("message_delta", fields))
        frames.append(_named("message_stop", {STOPPED_FIELD: True}))
        return b"".join(frames)

    def _message(self) -> Json:
        return {
            "id": self._new_id(),
            "type": "message",
            "role": "assistant",
            "model": "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }


# -- OpenAI Responses ------------------------------------------------------------------------


class _ResponsesEvent(Struct):
    type: str
    sequence_number: Side[int] = -1
    output_index: Side[int | None] = None
    item_id: Side[str] = ""
    content_index: Side[int] = 0
    summary_index: Side[int] = 0
    delta: str | Raw = ""
    item: Raw = NO_JSON
    part: Raw = NO_JSON
    response: Raw = NO_JSON


_read_responses = reader(_ResponsesEvent)


class _OpenItem:
    """An item under way: its object as added, and what has streamed into it."""

    def __init__(self, item: Json) -> None:
        self.item = item
        self.parts: dict[tuple[str, int], Json] = {}
        self.text: dict[str, list[str]] = {}


_FIELD_OF: Final = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
_TEXT_OF: Final = {
    "response.output_text.delta": ("content", "text"),
    "response.refusal.delta": ("content", "refusal"),
    "response.reasoning_text.delta": ("content", "text"),
    "response.reasoning_summary_text.delta": ("summary", "text"),
}
"""Event -> which of an item's lists has the part that grows, and which field of the part."""

_PART_ADDED: Final = {
    "response.content_part.added": "content",
    "response.reasoning_summary_part.added": "summary",
}
_PART_DONE: Final = {
    "response.content_part.done": "content",
    "response.reasoning_summary_part.done": "summary",
}
_CALLS: Final = ("function_call", "custom_tool_call")
_ENDED: Final = ("response.completed", "response.incomplete", "response.failed", "error")


class ResponsesEnding:
    """Closes parts and items that are open, and the response.

    With `response.completed`: the SDKs' helpers take nothing else for an end.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._response: Json = {
            "id": new_id(),
            "object": "response",
            "created_at": int(time.time()),
            "model": "",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        self._begun = self._done = False
        self._sequence = -1
        self._places = ItemPlaces()
        self._items: dict[int, _OpenItem] = {}
        self._finished: dict[int, Raw | Json] = {}
        self._decode = _read_responses

    def receive(self, event: bytes) -> None:
        """See `Ending`."""
        if event == b"[DONE]":
            return
        value = self._decode(event)
        self._sequence = max(self._sequence, value.sequence_number)
        kind = value.type
        if kind in _TEXT_OF or kind in _FIELD_OF:
            self._grow(value)
        elif kind == "response.created":
            self._begun = True
            self._response = _object(value.response)
        elif kind == "response.output_item.added":
            item = _object(value.item)
            place = self._places.begin(value.output_index, *_named_and_typed(item))
            self._items[place] = _OpenItem(item)
        elif kind == "response.output_item.done":
            named_and_typed = _named_and_typed(_object(value.item))
            place = self._places.end(value.output_index, *named_and_typed)
            self._items.pop(place, None)
            self._finished[place] = value.item
        elif kind in _PART_ADDED:
            self._set_part(value, _PART_ADDED[kind])
        elif kind in _PART_DONE:
            self._set_part(value, _PART_DONE[kind], done=True)
        elif kind in _ENDED:
            self._done = True

    def _opened(self, value: _ResponsesEvent) -> _OpenItem | None:
        index = value.output_index
        if index is None:
            index = self._places.find(value.item_id, value.type)
        return None if index is None else self._items.get(index)

    def _grow(self, value: _ResponsesEvent) -> None:
        opened = self._opened(value)
        if opened is None or not isinstance(value.delta, str):
            return
        if (field := _FIELD_OF.get(value.type)) is not None:
            opened.text.setdefault(field, []).append(value.delta)
            return
        place, field = _TEXT_OF[value.type]
        part = opened.parts.get((place, _index(value, place)))
        if part is None and value.type == "response.reasoning_text.delta":
            # llama.cpp begins no part for it.
            begun: Json = {"type": "reasoning_text", "text": ""}
            part = opened.parts[place, _index(value, place)] = {"part": begun, "done": False}
        if part is not None:
            part.setdefault("", []).append(value.delta)
            part["field"] = field

    def _set_part(self, value: _ResponsesEvent, place: str, *, done: bool = False) -> None:
        opened = self._opened(value)
        if opened is not None:
            part = {"part": _object(value.part), "done": done}
            opened.parts[place, _index(value, place)] = part

    def close(self) -> bytes:
        """See `Ending`."""
        if self._done:
            return b""
        frames = [STOPPED_COMMENT]
        if not self._begun:
            response = {**self._response, "status": "in_progress"}
            frames.append(self._event("response.created", {"response": response}))
        for index, opened in sorted(self._items.items()):
            frames += self._close_item(index, opened)
        response = {
            **self._response,
            "status": "completed",
            "output": [self._finished[index] for index in sorted(self._finished)],
            STOPPED_FIELD: True,
        }
        frames.append(
            self._event("response.completed", {"response": response, STOPPED_FIELD: True})
        )
        return b"".join(frames)

    def _close_item(self, index: int, opened: _OpenItem) -> list[bytes]:
        item = opened.item
        at = {"output_index": index, "item_id": item.get("id", "")}
        frames: list[bytes] = []
        for (place, number), held in sorted(opened.parts.items()):
            part: Json = held["part"]
            if not held["done"]:
                field = held.get("field") or ("refusal" if "refusal" in part else "text")
                part[field] = part.get(field, "") + "".join(held.get("", ()))
                frames += self._close_part(item, at, place, number, part, field)
            listed = item.get(place) or []
            item[place] = [*listed[:number], part, *listed[number + 1 :]]
        for field, pieces in opened.text.items():
            item[field] = (item.get(field) or "") + "".join(pieces)
        if item.get("type") == "function_call":
            fields = {"name": item.get("name", ""), "arguments": item.get("arguments", "")}
            frames.append(self._event("response.function_call_arguments.done", at | fields))
        elif item.get("type") == "custom_tool_call":
            fields = {"input": item.get("input", "")}
            frames.append(self._event("response.custom_tool_call_input.done", at | fields))
        item["status"] = "incomplete"
        if item.get("type") not in _CALLS:
            # Half a call is no part of the answer: whoever executes calls would execute it.
            self._finished[index] = item
        done = {"output_index": index, "item": item}
        return [*frames, self._event("response.output_item.done", done)]

    def _close_part(
        self, item: Json, at: Json, place: str, number: int, part: Json, field: str
    ) -> list[bytes]:
        text = {field: part[field]}
        if place == "summary":
            here = {**at, "summary_index": number}
            names = "response.reasoning_summary_text.done", "response.reasoning_summary_part.done"
        else:
            here = {**at, "content_index": number}
            kind = "output_text" if field == "text" else "refusal"
            kind = "reasoning_text" if item.get("type") == "reasoning" else kind
            names = f"response.{kind}.done", "response.content_part.done"
            if kind == "output_text":
                text["logprobs"] = []
        return [
            self._event(names[0], {**here, **text}),
            self._event(names[1], {**here, "part": part}),
        ]

    def _event(self, kind: str, fields: Json) -> bytes:
        self._sequence += 1
        return _named(kind, {"sequence_number": self._sequence, **fields})


def _index(value: _ResponsesEvent, place: str) -> int:
    return value.summary_index if place == "summary" else value.content_index


def _named_and_typed(item: Json) -> tuple[str, str]:
    return str(item.get("id") or ""), str(item.get("type"))


def _object(raw: Raw) -> Json:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _named(kind: str, fields: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


ENDINGS: Final[dict[Wire, Callable[[Callable[[], str]], Ending]]] = {
    Wire.CHAT: ChatEnding,
    Wire.RESPONSES: ResponsesEnding,
    Wire.MESSAGES: MessagesEnding,
}
"""Wire -> what follows its streams; the argument makes ids where none has come."""
