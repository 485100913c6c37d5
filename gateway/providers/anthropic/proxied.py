"""Messages at the proxy: its calls, its whole answers, the end of a stopped stream, its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from midstream.providers.anthropic.hosts import is_anthropic
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.anthropic.tool_names import ToolNames
from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.passthrough.api import ProxiedApi, ProxyVendor
from midstream.providers.passthrough.call import NO_JSON, CallBody, ModelCall, UserSaid
from midstream.providers.passthrough.content import (
    ToolResult,
    data_url,
    file_part,
    result_of,
    shown_parts,
)
from midstream.providers.passthrough.ending import STOPPED_COMMENT, STOPPED_FIELD, named_event
from midstream.providers.stream.loose import Side, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from midstream.errors import GatewayError
    from midstream.providers.base import Translator
    from midstream.providers.part_ids import PartIds
    from midstream.providers.passthrough.api import Header
    from midstream.providers.passthrough.content import Block, BlockReaders

    Json = dict[str, Any]

_encode = msgspec.json.encode


class _MessagesBody(CallBody):
    messages: list[Raw] | None = None


class _CallMessage(Struct):
    role: str | None = None
    content: Raw = NO_JSON


class _CallBlock(Struct):
    type: str | None = None
    tool_use_id: str | None = None
    content: Raw = NO_JSON
    is_error: bool | None = None


_body = msgspec.json.Decoder(_MessagesBody)
_message = msgspec.json.Decoder(_CallMessage)
_blocks = msgspec.json.Decoder(list[_CallBlock])


def _read_call(body: bytes) -> ModelCall:
    request = _body.decode(body)
    return request.call(request.messages or (), _read_message)


def _read_message(raw: Raw) -> UserSaid | Sequence[ToolResult]:
    """Read a message; the results of tools are in one of the user's."""
    message = _message.decode(raw)
    if message.role != "user":
        return ()
    return _results_in(message.content) or UserSaid(shown_parts(message.content, _CONTENT))


def _results_in(content: Raw) -> list[ToolResult]:
    if not bytes(content).startswith(b"["):
        return []
    return [
        result_of(block.tool_use_id, block.content, failed=block.is_error is True)
        for block in _blocks.decode(content)
        if block.type == "tool_result" and block.tool_use_id is not None
    ]


def _source(block: Block) -> Block | None:
    """Read an image or document of Anthropic's."""
    source = block.get("source")
    if not isinstance(source, dict):
        return None
    default = "image/*" if block["type"] == "image" else "application/pdf"
    media_type = source.get("media_type")
    media_type = media_type if isinstance(media_type, str) else default
    name = block.get("title")
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        encoded = source["data"].encode()
        return file_part(data_url("text/plain", encoded), "text/plain", name)
    if source.get("type") == "base64":
        return file_part(f"data:{media_type};base64,{source.get('data')}", media_type, name)
    return file_part(source.get("url"), media_type, name)


_CONTENT: Final[BlockReaders] = {"image": _source, "document": _source}


def _translator(
    call: ModelCall, new_id: Callable[[], str], part_ids: PartIds, compatible: str | None = None
) -> Translator:
    return AnthropicTranslator(
        names=ToolNames(call.tools),
        calls=declared_calls(call.tools),
        new_id=new_id,
        part_ids=part_ids,
        send_sources=True,
    )


def events_of_message(answer: Json) -> Iterator[Json]:
    """Yield the events that would have streamed a whole answer."""
    begun = {**answer, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(answer["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _begun(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": answer.get("stop_reason")}
    yield {"type": "message_delta", "delta": ending, "usage": answer.get("usage") or {}}
    yield {"type": "message_stop"}


def _begun(block: Json) -> Json:
    kind = block.get("type")
    if kind == "text":
        return {**block, "text": ""}
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}
    if kind in ("tool_use", "server_tool_use"):
        return {**block, "input": {}}
    return block


def _deltas(block: Json) -> Iterator[Json]:
    kind = block.get("type")
    if kind == "text":
        for citation in block.get("citations") or ():
            yield {"type": "citations_delta", "citation": citation}
        yield {"type": "text_delta", "text": block["text"]}
    elif kind == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block.get("signature", "")}
    elif kind in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": _encode(block["input"]).decode()}


class _UsageBegun(Struct, frozen=True):
    output_tokens: Side[int] = 0


class _MessageBegun(Struct):
    usage: Side[_UsageBegun] = _UsageBegun()


class _MessagesEvent(Struct):
    type: str
    index: Side[int] = 0
    message: Side[_MessageBegun | None] = None


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
            frames.append(named_event("message_start", {"message": self._message()}))
        frames += [named_event("content_block_stop", {"index": index}) for index in self._open]
        if not self._delta:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            fields = {"delta": delta, "usage": {"output_tokens": self._used}}
            frames.append(named_event("message_delta", fields))
        frames.append(named_event("message_stop", {STOPPED_FIELD: True}))
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


MESSAGES: Final = ProxiedApi(
    path="messages",
    read_call=_read_call,
    translator=_translator,
    ending=MessagesEnding,
    events_of=events_of_message,
    last_event=b'{"type":"message_stop"}',
)

_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def _key_header(key: str) -> Header:
    return b"x-api-key", key.encode()


def _error_body(error: GatewayError) -> bytes:
    kind = _ERROR_TYPES.get(error.http_status, "api_error")
    told = {**error.details, "type": kind, "code": error.code, "message": error.message}
    return _encode({"type": "error", "error": told})


ANTHROPIC: Final = ProxyVendor(
    base_url_variable="ANTHROPIC_BASE_URL",
    base_url="https://api.anthropic.com",
    is_own=is_anthropic,
    key_header=_key_header,
    error_body=_error_body,
)
