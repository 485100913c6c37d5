"""Responses at the proxy: its calls, its whole answers, and the end of a stopped stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.openai.proxied import CONTENT
from midstream.providers.openai_responses.prompt.tools import tooling
from midstream.providers.openai_responses.stream.items import ItemPlaces
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.passthrough.api import ProxiedApi
from midstream.providers.passthrough.call import NO_JSON, CallBody, ModelCall, UserSaid
from midstream.providers.passthrough.content import ToolResult, result_of, shown_parts
from midstream.providers.passthrough.ending import STOPPED_COMMENT, STOPPED_FIELD, named_event
from midstream.providers.stream.loose import Side, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from midstream.providers.base import Translator
    from midstream.providers.part_ids import PartIds

    Json = dict[str, Any]


class _ResponsesBody(CallBody):
    input: Raw = NO_JSON


class _CallItem(Struct):
    type: str | None = None
    role: str | None = None
    content: Raw = NO_JSON
    call_id: str | None = None
    output: Raw = NO_JSON


_body = msgspec.json.Decoder(_ResponsesBody)
_item = msgspec.json.Decoder(_CallItem)
_items = msgspec.json.Decoder(list[Raw])


def _read_call(body: bytes) -> ModelCall:
    request = _body.decode(body)
    given = bytes(request.input)
    items: Sequence[Raw] = ()
    if given.startswith(b'"'):
        items = [Raw(b'{"role":"user","content":%b}' % given)]
    elif given.startswith(b"["):
        items = _items.decode(given)
    return request.call(items, _read_item)


def _read_item(raw: Raw) -> UserSaid | Sequence[ToolResult]:
    item = _item.decode(raw)
    if item.call_id is not None and (item.type or "").endswith("_output"):
        return [result_of(item.call_id, item.output)]
    return UserSaid(shown_parts(item.content, CONTENT)) if item.role == "user" else ()


def _translator(
    call: ModelCall, new_id: Callable[[], str], part_ids: PartIds, compatible: str | None = None
) -> Translator:
    return OpenAIResponsesTranslator(
        declared_calls(call.tools),
        new_id=new_id,
        part_ids=part_ids,
        tooling=tooling(call.tools),
        stored=call.stored,
        send_sources=True,
    )


def events_of_response(answer: Json) -> Iterator[Json]:
    """Yield the events that would have streamed a whole answer."""
    yield {"type": "response.created", "response": {**answer, "output": []}}
    for index, item in enumerate(answer["output"]):
        at = {"output_index": index, "item_id": item.get("id", "")}
        begun = {**item}
        for streamed in ("content", "summary", "arguments", "input"):
            if isinstance(begun.get(streamed), (str, list)):
                begun[streamed] = type(begun[streamed])()
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        yield from _events_of_item(item, at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{answer.get('status', 'completed')}", "response": answer}


def _events_of_item(item: Json, at: Json) -> Iterator[Json]:
    kind = item.get("type")
    if kind == "message":
        for number, part in enumerate(item.get("content") or ()):
            here = {**at, "content_index": number}
            if part.get("type") == "refusal":
                yield {"type": "response.refusal.delta", **here, "delta": part["refusal"]}
                continue
            yield {"type": "response.output_text.delta", **here, "delta": part.get("text", "")}
            for annotation in part.get("annotations") or ():
                yield {
                    "type": "response.output_text.annotation.added",
                    **here,
                    "annotation": annotation,
                }
    elif kind == "reasoning":
        for number, part in enumerate(item.get("summary") or ()):
            here = {**at, "summary_index": number}
            yield {"type": "response.reasoning_summary_part.added", **here}
            yield {
                "type": "response.reasoning_summary_text.delta",
                **here,
                "delta": part.get("text", ""),
            }
            yield {"type": "response.reasoning_summary_part.done", **here}
        for number, part in enumerate(item.get("content") or ()):
            here = {**at, "content_index": number}
            yield {"type": "response.reasoning_text.delta", **here, "delta": part.get("text", "")}
    elif kind == "function_call":
        delta = item.get("arguments", "")
        yield {"type": "response.function_call_arguments.delta", **at, "delta": delta}
    elif kind == "custom_tool_call":
        delta = item.get("input", "")
        yield {"type": "response.custom_tool_call_input.delta", **at, "delta": delta}


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
            # Half a call is no part of the answer: a program that executes calls would execute it.
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
        return named_event(kind, {"sequence_number": self._sequence, **fields})


def _index(value: _ResponsesEvent, place: str) -> int:
    return value.summary_index if place == "summary" else value.content_index


def _named_and_typed(item: Json) -> tuple[str, str]:
    return str(item.get("id") or ""), str(item.get("type"))


def _object(raw: Raw) -> Json:
    return msgspec.json.decode(raw, type=dict[str, Any])


RESPONSES: Final = ProxiedApi(
    path="responses",
    read_call=_read_call,
    translator=_translator,
    ending=ResponsesEnding,
    events_of=events_of_response,
    last_event=b"[DONE]",
)
