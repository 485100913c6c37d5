"""Chat Completions at the proxy: its calls, its whole answers, and the end of a stopped stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.openai.proxied import CONTENT
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.translator import OpenAIChatTranslator
from midstream.providers.passthrough.api import ProxiedApi
from midstream.providers.passthrough.call import NO_JSON, CallBody, ModelCall, UserSaid
from midstream.providers.passthrough.content import ToolResult, result_of, shown_parts
from midstream.providers.passthrough.ending import STOPPED_COMMENT, STOPPED_FIELD
from midstream.providers.stream.loose import Side, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from midstream.providers.base import Translator
    from midstream.providers.part_ids import PartIds

    Json = dict[str, Any]

_encode = msgspec.json.encode


class _ChatBody(CallBody):
    messages: list[Raw] | None = None


class _ChatCallMessage(Struct):
    role: str | None = None
    content: Raw = NO_JSON
    tool_call_id: str | None = None


_body = msgspec.json.Decoder(_ChatBody)
_message = msgspec.json.Decoder(_ChatCallMessage)


def _read_call(body: bytes) -> ModelCall:
    request = _body.decode(body)
    return request.call(request.messages or (), _read_message)


def _read_message(raw: Raw) -> UserSaid | Sequence[ToolResult]:
    message = _message.decode(raw)
    if message.role == "tool" and message.tool_call_id is not None:
        return [result_of(message.tool_call_id, message.content)]
    return UserSaid(shown_parts(message.content, CONTENT)) if message.role == "user" else ()


def _translator(
    call: ModelCall, new_id: Callable[[], str], part_ids: PartIds, compatible: str | None = None
) -> Translator:
    calls = declared_calls(call.tools)
    if compatible is None:
        return OpenAIChatTranslator(calls, new_id=new_id, part_ids=part_ids, send_sources=True)
    return OpenAICompatibleTranslator(
        calls, new_id=new_id, name=compatible, part_ids=part_ids, send_sources=True
    )


def events_of_chat(answer: Json) -> Iterator[Json]:
    """Yield the events that would have streamed a whole answer."""
    head = {name: answer.get(name) for name in ("id", "model", "created")}
    for choice in answer["choices"][:1]:
        message: Json = choice["message"]
        calls = [
            {**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())
        ]
        delta = {**message, "tool_calls": calls or None}
        yield {**head, "choices": [{"delta": delta}]}
        ending = {"delta": {}, "finish_reason": choice.get("finish_reason")}
        yield {**head, "choices": [ending], "usage": answer.get("usage")}


class _PassedChoice(Struct):
    index: Side[int] = 0
    finish_reason: Side[str | None] = None


class _PassedChunk(Struct):
    id: Side[str | None] = None
    created: Side[int | None] = None
    model: Side[str | None] = None
    choices: list[_PassedChoice] | None = None


_read_chat = reader(_PassedChunk)


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


CHAT: Final = ProxiedApi(
    path="chat/completions",
    read_call=_read_call,
    translator=_translator,
    ending=ChatEnding,
    events_of=events_of_chat,
    last_event=b"[DONE]",
)
